"""New archives from old ones: parts, unions, other joints, other splits."""
from .copying import copy_sequences
from .merging import merge_archives
from .remapping import remap_archive
from .sharding import shard_archive
from .splitting import add_splits, fold_splits, random_split, split_by_column, split_from_file
from .subsetting import select_sequences, subset_archive

__all__ = [
    'add_splits', 'copy_sequences', 'fold_splits', 'merge_archives', 'random_split', 'remap_archive',
    'select_sequences', 'shard_archive', 'split_by_column', 'split_from_file', 'subset_archive',
]
