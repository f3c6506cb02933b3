"""Finding the method inside whatever wraps the model."""
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmactclr.errors import ConfigError
from mmactclr.models.algorithms import BaseAlgorithm


def get_method(runner: Runner, hook: str) -> BaseAlgorithm:
    """The pretraining method of a run.

    Raises:
        ConfigError: If the model is no :class:`BaseAlgorithm`; ``hook`` is named in the message.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not isinstance(model, BaseAlgorithm):
        raise ConfigError(f'{hook} drives pretraining methods (subclasses of BaseAlgorithm), the model is '
                          f'{type(model).__name__}; remove the hook from custom_hooks or change the model')
    return model


def get_branches(runner: Runner, hook: str, needs: str) -> list[BaseAlgorithm]:
    """The single-stream methods of a run, all of which have what a hook drives.

    Args:
        runner: The runner.
        hook: Name of the hook, for the message.
        needs: Attribute that a method must have.

    Raises:
        ConfigError: If one has not.
    """
    branches = list(get_method(runner, hook).branches().values())
    for branch in branches:
        if not hasattr(branch, needs):
            raise ConfigError(f'{hook} drives methods such as ActCLR or MoCo, the model is {type(branch).__name__}, '
                              f'which has no {needs}; take the hook out of custom_hooks or change the model')
    return branches
