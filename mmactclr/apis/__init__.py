"""What a script of the user's imports."""
from .run import build_runner, run_test, run_training

__all__ = ['build_runner', 'run_test', 'run_training']
