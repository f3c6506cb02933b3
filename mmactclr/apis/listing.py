"""Which models there are configs or weights for."""
import fnmatch

from mmactclr.utils.config_folders import config_folders
from mmactclr.utils.zoo import list_zoo

# evaluation takes the model of a checkpoint
_NO_MODELS = ('_base_', 'benchmarks')


def list_models(pattern: str = '*', pretrained: bool = False) -> list[str]:
    """Names that every tool and :func:`init_model` take: of pretraining configs, with those of plugins, or of weights.

    Args:
        pattern: As for file names, such as ``actclr_3s_*``.
        pretrained: Names of the weights that this package carries; a tool takes them in place of a checkpoint.

    Returns:
        Names in alphabetical order; none where the pattern, which is a filter, matches nothing. What is mistyped is
        answered with the nearest names by whatever takes one, and by ``mmactclr list configs PATTERN``.

    Example:
        >>> 'actclr_3s_ntu60_xsub' in list_models('actclr*')
        True
        >>> 'actclr_joint_synthetic' in list_models(pretrained=True)
        True
    """
    if pretrained:
        return fnmatch.filter(list_zoo(), pattern)
    found = {path.stem for folders in config_folders().values() for root in folders for path in root.rglob('*.py')
             if not set(_NO_MODELS) & set(path.relative_to(root).parts)}
    return sorted(fnmatch.filter(found, pattern))
