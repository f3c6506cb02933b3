"""What components and mmengine raise while a run is built, in words that name file and field."""
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mmengine.config import Config
from mmengine.utils import manager

from mmactclr import components, registry
from mmactclr.components import describe
from mmactclr.errors import ConfigError, MMActCLRError

from .faults import is_fault

# what mmengine's Runner makes of a config in methods of its own, and the field that they read
_READERS = {
    'setup_env': 'env_cfg', 'set_randomness': 'randomness', 'build_logger': 'log_level',
    'build_log_processor': 'log_processor', 'build_visualizer': 'visualizer', '_check_scheduler_cfg': 'param_scheduler',
    'register_default_hooks': 'default_hooks', 'register_custom_hooks': 'custom_hooks', 'build_model': 'model',
    'wrap_model': 'model_wrapper_cfg', 'build_optim_wrapper': 'optim_wrapper', 'scale_lr': 'auto_scale_lr',
    'build_param_scheduler': 'param_scheduler', 'build_train_loop': 'train_cfg', 'build_val_loop': 'val_cfg',
    'build_test_loop': 'test_cfg', 'build_evaluator': 'val_evaluator or test_evaluator',
    'build_dataloader': 'train_dataloader, val_dataloader or test_dataloader', '_init_model_weights': 'model.init_cfg',
    'from_cfg': ''}


@contextmanager
def explain_build_errors(source: str | Path | None, config: Mapping[str, Any] | Config | None = None
                         ) -> Iterator[None]:
    """Turn errors of building a component from a config into ones that name the field and say what to do.

    What something raises that was built, such as a training step, passes, and so do errors of disk, memory and
    processes, which :func:`~mmactclr.apis.faults.explain_faults` is for; errors of this package get the name of the
    file where they lack it.

    Args:
        source: File of the config, for the message.
        config: The config, in which the field is looked up.

    Raises:
        ConfigError: In place of what building a component raised.
        DataError: As a component raised it, with the name of the config.
    """
    tree = config.to_dict() if isinstance(config, Config) else config
    try:
        yield
    except MMActCLRError as error:
        place = _find_place(error.__traceback__, tree)
        # what is wrong with data is said of the data's own file, unless a component met it while it was built
        if source is None or str(source) in str(error) or place is None and not isinstance(error, ConfigError):
            raise
        if isinstance(error.__cause__, (KeyError, TypeError)):
            # a registry has said it without knowing where the config lies, beside which the missing file may be
            error.args = (describe(error.__cause__, _components(), _folders(source)) or str(error),)
        raise type(error)(f'{source}: {f"field {place[0]}: " if place and place[0] else ""}{error}') from error
    except Exception as error:
        if is_fault(error):
            # no field of the config mends a full disk
            raise
        place = _find_place(error.__traceback__, tree)
        said = describe(error, _components(), _folders(source))
        if said is not None:
            raise ConfigError(f'{source or "config"}: {f"field {place[0]}: " if place and place[0] else ""}{said}'
                              ) from error
        if place is None:
            raise
        field, kind = place
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f'{kind} could not be built' if kind else 'the run could not be set up'
        raise ConfigError(
            f'{source or "config"}: {f"field {field}: " if field else ""}{what} ({type(error).__name__}: {error}; '
            f'{Path(last.filename).name}:{last.lineno}); correct the field'
            + (f', see the arguments in the docstring of {kind}' if kind else '')) from error
    finally:
        _free_managers()


def _free_managers() -> None:
    """Give the lock of mmengine's managers back, which they keep when making a logger or visualizer fails.

    The thread that has it notices nothing; any other would wait for it for ever.
    """
    with suppress(RuntimeError):
        while True:
            manager._lock.release()


def unknown_type(source: str | Path | None, name: str, kind: str) -> ConfigError:
    """The error for a ``type`` that no registry of a kind (``model``, ``hook``, ...) knows."""
    said = components.unknown_type(name, kind, _components(kind), _folders(source))
    return ConfigError(f'{source or "config"}: {said}')


def _components(kind: str | None = None) -> dict[str, Any]:
    """Everything registered, or all of a kind, by name."""
    registries = [value for value in vars(registry).values()
                  if isinstance(value, registry.Registry) and kind in (None, value.name)]
    for each in registries:
        each.import_from_location()
    return {name: component for each in registries for level in (each.parent, each) if level
            for name, component in level.module_dict.items()}


def _folders(source: str | Path | None) -> list[Path]:
    return [Path(source).parent] if source else []


def _find_place(trace: TracebackType | None, config: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Field that was being built, as narrow as it is found in the config, and the kind of component; None if none."""
    field, kind, building = '', '', False
    while trace is not None:
        code, values = trace.tb_frame.f_code, trace.tb_frame.f_locals
        if code.co_name == 'build_from_cfg' and code.co_filename.endswith('build_functions.py'):
            building, built = True, values.get('cfg')
            kind = str(built.get('type', '')) if isinstance(built, Mapping) else ''
            field = _find_field(config, built) or field
        elif code.co_name in _READERS and code.co_filename.endswith('runner.py'):
            building = True
            loader = values.get('dataloader') if code.co_name == 'build_dataloader' else None
            field = _find_field(config, loader) or _READERS[code.co_name] or field
        trace = trace.tb_next
    return (field, kind) if building else None


def _find_field(node: Any, wanted: Any, where: str = '') -> str:
    """Dotted name of the first place in a config that describes a component; empty where none does.

    mmengine takes entries out of a description and puts others in, so that what both have has to agree.
    """
    if not isinstance(wanted, Mapping) or not wanted:
        return ''
    if where and isinstance(node, Mapping) and node and node.get('type') == wanted.get('type') \
            and all(node[key] == wanted[key] for key in {*node} & {*wanted}) \
            and ({*node} <= {*wanted} or {*wanted} <= {*node}):
        return where
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in pairs:
        found = _find_field(value, wanted, f'{where}.{key}'.lstrip('.'))
        if found:
            return found
    return ''
