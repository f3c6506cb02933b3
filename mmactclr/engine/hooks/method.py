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
