"""What a script of the user's imports."""
from .actionlets import find_actionlets
from .inference import init_model
from .run import build_runner, run_test, run_training

__all__ = ['build_runner', 'find_actionlets', 'init_model', 'run_test', 'run_training']
