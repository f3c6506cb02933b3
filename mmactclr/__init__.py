"""Tools for self-supervised skeleton motion: ActCLR and the methods it is compared with."""

from importlib.util import find_spec

from .version import __version__

if find_spec('mmcv') is None:
    raise ImportError(
        "mmactclr needs mmcv, which is not installed: `pip install 'mmcv-lite>=2.0.0'` (no "
        'compiled ops, none are needed), or a full mmcv of version 2 if other projects need one')

__all__ = ['__version__']
