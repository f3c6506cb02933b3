"""Motion data: the archive, its converters, the built-in synthetic set and the dataset."""
from . import converters
from .archive import SkeletonArchive
from .archive_writer import ArchiveWriter
from .label_subset import draw_label_subset, read_label_subset, write_label_subset
from .prepared import PreparedSequences, prepared_sequences
from .segmentation_dataset import SegmentationDataset
from .segments import format_segments, frame_labels
from .shard_sampler import ShardSampler
from .sharded_dataset import ShardedSkeletonDataset
from .skeleton_dataset import SkeletonDataset, skeleton_collate
from .splits import as_split, split_counts, without_copies
from .synthetic import make_synthetic, single_limb_sequences
from .verification import ArchiveReport, verify_archive

__all__ = [
    'ArchiveReport', 'ArchiveWriter', 'PreparedSequences', 'SegmentationDataset', 'ShardSampler',
    'ShardedSkeletonDataset', 'SkeletonArchive', 'SkeletonDataset', 'as_split',
    'converters', 'draw_label_subset', 'format_segments', 'frame_labels',
    'make_synthetic', 'prepared_sequences', 'read_label_subset', 'single_limb_sequences', 'skeleton_collate',
    'split_counts', 'verify_archive', 'without_copies', 'write_label_subset',
]
