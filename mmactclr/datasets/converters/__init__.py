"""One module per source format; each registers its converter in ``CONVERTERS``."""
from .base import BaseConverter
from .file_converter import Clip, FileConverter, Recordings
from .flat import FlatConverter
from .ntu import NTUConverter
from .source_files import SourceFile, find_files
from .synthetic import SyntheticConverter

__all__ = [
    'BaseConverter', 'Clip', 'FileConverter', 'FlatConverter', 'NTUConverter', 'Recordings', 'SourceFile',
    'SyntheticConverter', 'find_files',
]
