"""What a script of the user's imports."""
from .actionlets import find_actionlets
from .inference import init_model, load_for_test
from .reports import draw_reports
from .run import build_runner, run_test, run_training

__all__ = ['build_runner', 'draw_reports', 'find_actionlets', 'init_model', 'load_for_test', 'run_test', 'run_training']
