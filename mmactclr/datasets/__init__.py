"""Motion data: the archive, its converters, the built-in synthetic set and the dataset."""
from . import converters
from .archive import SkeletonArchive
from .archive_writer import ArchiveWriter
from .prepared import PreparedSequences, prepared_sequences
from .segments import format_segments, frame_labels
from .skeleton_dataset import SkeletonDataset, skeleton_collate
from .splits import as_split, split_counts, without_copies
from .synthetic import make_synthetic, single_limb_sequences
from .verification import ArchiveReport, verify_archive

__all__ = [
    'ArchiveReport', 'ArchiveWriter', 'PreparedSequences', 'SkeletonArchive', 'SkeletonDataset',
    'as_split', 'converters', 'format_segments', 'frame_labels', 'make_synthetic', 'prepared_sequences',
    'single_limb_sequences', 'skeleton_collate', 'split_counts', 'verify_archive', 'without_copies',
]
