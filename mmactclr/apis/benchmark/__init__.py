"""What a part of the toolkit costs on this machine, beside a plain implementation of the same arithmetic."""
from .running import PARTS, run_benchmark

__all__ = ['PARTS', 'run_benchmark']
