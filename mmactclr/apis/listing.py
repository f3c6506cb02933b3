"""Which models there are configs for."""
import fnmatch

from mmactclr.utils.config_folders import config_folders

# evaluation takes the model of a checkpoint
_NO_MODELS = ('_base_', 'benchmarks')


def list_models(pattern: str = '*') -> list[str]:
    """Names of the pretraining configs, which every tool and :func:`init_model` take; those of plugins are among them.

    Args:
        pattern: As for file names, such as ``actclr_3s_*``.

    Example:
        >>> 'actclr_3s_ntu60_xsub' in list_models('actclr*')
        True
    """
    found = {path.stem for folders in config_folders().values() for root in folders for path in root.rglob('*.py')
             if not set(_NO_MODELS) & set(path.relative_to(root).parts)}
    return sorted(fnmatch.filter(found, pattern))
