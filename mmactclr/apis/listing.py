"""Which models there are configs for."""
import fnmatch
from importlib import resources
from pathlib import Path

# evaluation takes the model of a checkpoint
_NO_MODELS = ('_base_', 'benchmarks')


def list_models(pattern: str = '*') -> list[str]:
    """Names of the pretraining configs of this package, which every tool and :func:`init_model` take.

    Args:
        pattern: As for file names, such as ``actclr_3s_*``.

    Example:
        >>> 'actclr_3s_ntu60_xsub' in list_models('actclr*')
        True
    """
    installed = Path(str(resources.files('mmactclr'))) / '.mim' / 'configs'
    root = installed if installed.is_dir() else Path(__file__).resolve().parents[2] / 'configs'
    found = {path.stem for path in root.rglob('*.py') if not set(_NO_MODELS) & set(path.relative_to(root).parts)}
    return sorted(fnmatch.filter(found, pattern))
