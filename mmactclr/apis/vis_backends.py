"""Where the numbers of a run go: files, TensorBoard, Weights & Biases, ..."""
import importlib.util
from typing import Any

from mmengine.config import Config

from mmactclr.errors import ConfigError

# module that has to be there, and what installs it; of several modules one is enough
_PACKAGES = {
    'TensorboardVisBackend': (('tensorboard', 'tensorboardX'), 'tensorboard'), 'WandbVisBackend': (('wandb',), 'wandb'),
    'MLflowVisBackend': (('mlflow',), 'mlflow'), 'ClearMLVisBackend': (('clearml',), 'clearml'),
    'NeptuneVisBackend': (('neptune',), 'neptune'), 'DVCLiveVisBackend': (('dvclive',), 'dvclive'),
    'AimVisBackend': (('aim',), 'aim')}


def complete_backends(cfg: Config) -> None:
    """Make ``visualizer.vis_backends`` a list of configs and check that what they need is installed.

    Backends may be given by their names alone, as the command line can: ``[LocalVisBackend,TensorboardVisBackend]``.

    Args:
        cfg: Config, changed in place.

    Raises:
        ConfigError: If it is no list of backends, or a package is missing; the message names it.
    """
    visualizer = cfg.get('visualizer')
    if not isinstance(visualizer, dict) or visualizer.get('vis_backends') is None:
        return
    backends = visualizer['vis_backends']
    # one name is a list of one
    backends = [backends] if isinstance(backends, (str, dict)) else backends
    if not isinstance(backends, (list, tuple)):
        raise _wrong(backends)
    visualizer['vis_backends'] = [_complete(each) for each in backends]


def _complete(backend: Any) -> dict[str, Any]:
    config = dict(type=backend) if isinstance(backend, str) else backend
    if not isinstance(config, dict) or 'type' not in config:
        raise _wrong(backend)
    name = str(config['type']).rpartition('.')[2]
    modules, package = _PACKAGES.get(name, ((), ''))
    if modules and not any(importlib.util.find_spec(module) for module in modules):
        raise ConfigError(f'visualizer.vis_backends: {name} needs the package {package}, which is not installed: pip '
                          f'install {package}, or leave {name} out')
    return config


def _wrong(found: Any) -> ConfigError:
    return ConfigError(f'visualizer.vis_backends holds {found!r}, expected names or configs of backends, such as '
                       '[LocalVisBackend,TensorboardVisBackend] or dict(type=\'WandbVisBackend\')')
