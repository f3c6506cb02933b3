"""What differs between the recipe that a checkpoint was trained with and the one that is to go on."""
from collections.abc import Iterable, Mapping
from typing import Any

# default hooks that log, save, report and watch: they do not change the numbers of a step
_WATCHING = ('checkpoint', 'collapse', 'data_guard', 'logger', 'metrics_file', 'non_finite', 'peer_watch', 'progress',
             'report', 'resident_data', 'run_line', 'safe_checkpoint', 'timer')
# when to log, save and test: not what training computes
_ASIDE = (*(f'default_hooks.{name}' for name in _WATCHING), 'log_processor', 'visualizer', 'vis_backends',
          'runner_type', 'test_cfg', 'test_dataloader', 'test_evaluator')
_MISSING = 'not set'
# characters of a value in a message
_WIDTH = 60


def differences(saved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Fields that differ, ``model.memory.size: 32768 -> 16384``, in the order of their names.

    Args:
        saved: Recipe of a checkpoint.
        current: Recipe of a config; of both :func:`~mmactclr.utils.recipe_of`.
    """
    before, after = _flat(saved), _flat(current)
    return [f'{name}: {_short(before.get(name, _MISSING))} -> {_short(after.get(name, _MISSING))}'
            for name in sorted({*before, *after})
            if before.get(name, _MISSING) != after.get(name, _MISSING)
            and not any(name == field or name.startswith(f'{field}.') for field in _ASIDE)]


def _flat(value: Any, prefix: str = '') -> dict[str, Any]:
    """Leaves by dotted name; a list of plain values is a leaf."""
    if isinstance(value, Mapping) and value:
        pairs: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        pairs = enumerate(value)
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, item in pairs:
        flat |= _flat(item, f'{prefix}.{name}' if prefix else str(name))
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _WIDTH else f'{text[:_WIDTH - 3]}...'
