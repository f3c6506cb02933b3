"""One module per source format; each registers its converter in ``CONVERTERS``."""
from .base import BaseConverter
from .flat import FlatConverter
from .synthetic import SyntheticConverter

__all__ = ['BaseConverter', 'FlatConverter', 'SyntheticConverter']
