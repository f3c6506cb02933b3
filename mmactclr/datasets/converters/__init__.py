"""One module per source format; each registers its converter in ``CONVERTERS``."""
from .base import BaseConverter
from .crosclr import CrosCLRConverter
from .csv_files import CSVConverter
from .file_converter import Clip, FileConverter, Recordings
from .flat import FlatConverter
from .joined import JoinedConverter
from .mocap import BVHConverter, CMUConverter, HDM05Converter
from .msraction3d import MSRAction3DConverter
from .ntu import NTUConverter
from .nwucla import NWUCLAConverter
from .pkummd import PKUMMDConverter
from .pose import PoseConverter
from .pyskl import PysklConverter
from .source_files import SourceFile, find_files
from .synthetic import SyntheticConverter
from .uiprmd import UIPRMDConverter
from .utdmhad import UTDMHADConverter

__all__ = [
    'BVHConverter', 'BaseConverter', 'CMUConverter', 'CSVConverter', 'Clip', 'CrosCLRConverter',
    'FileConverter', 'FlatConverter', 'HDM05Converter', 'JoinedConverter', 'MSRAction3DConverter',
    'NTUConverter', 'NWUCLAConverter', 'PKUMMDConverter', 'PoseConverter', 'PysklConverter', 'Recordings',
    'SourceFile', 'SyntheticConverter', 'UIPRMDConverter', 'UTDMHADConverter', 'find_files',
]
