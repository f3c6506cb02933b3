"""What a script of the user's imports."""
from .actionlets import find_actionlets
from .deployment import export_onnx
from .features import extract_features
from .inference import init_model, load_for_test
from .inferencing import (
    Inference,
    MotionGallery,
    Neighbour,
    Recording,
    SkeletonInferencer,
    SkeletonStream,
    read_recordings,
)
from .listing import list_models
from .reports import draw_reports
from .run import build_runner, run_test, run_training
from .run_report import write_report

__all__ = [
    'Inference', 'MotionGallery', 'Neighbour', 'Recording', 'SkeletonInferencer', 'SkeletonStream', 'build_runner',
    'draw_reports', 'export_onnx', 'extract_features', 'find_actionlets', 'init_model', 'list_models', 'load_for_test',
    'read_recordings', 'run_test', 'run_training', 'write_report',
]
