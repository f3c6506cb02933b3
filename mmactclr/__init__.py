"""Tools for self-supervised skeleton motion: ActCLR and the methods it is compared with."""
from .version import __version__

__all__ = ['__version__']
