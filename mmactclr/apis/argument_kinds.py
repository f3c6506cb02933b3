"""What kinds of values the arguments of a component take, as its annotations say."""
import functools
import inspect
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# of other classes a config gives descriptions, which their registries know
_NUMBERS = {bool: (bool,), int: (int,), float: (int, float)}
_PLAIN = (bool, int, float, str)


@functools.cache
def kinds_of(component: Any) -> dict[str, Any]:
    """Annotation of every argument of a class or function by name, those of base classes included.

    An argument whose default is None takes None, whatever its annotation says.
    """
    kinds: dict[str, Any] = {}
    functions = [vars(each)['__init__'] for each in reversed(component.__mro__) if '__init__' in vars(each)] \
        if inspect.isclass(component) else [component]
    for function in functions:
        try:
            hints, parameters = typing.get_type_hints(function), inspect.signature(function).parameters
        except (NameError, TypeError, ValueError, AttributeError):  # annotations of somebody else's that do not hold
            continue
        for name, parameter in parameters.items():
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                hint = hints.get(name, Any)
                kinds[name] = hint | None if parameter.default is None and hint is not Any and _joins(hint) else hint
    return kinds


def _joins(hint: Any) -> bool:
    try:
        hint | None  # noqa: B018
    except TypeError:
        return False
    return True


def fits(value: Any, kind: Any) -> bool:
    """Whether a value of a config is of a kind; yes where the annotation is of something besides plain values."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is None or kind is type(None):
        return value is None
    if origin in (typing.Union, types.UnionType):
        plain = [one for one in inner if one in _PLAIN]
        # a number that may be a tensor as well is still no text
        return any(fits(value, one) for one in (plain if plain and isinstance(value, _PLAIN) else inner))
    if origin is typing.Literal:
        return any(value == one for one in inner)
    kind = origin or kind
    if kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and (kind is bool or not isinstance(value, bool))
    if kind is str:
        return isinstance(value, (str, Path))
    if not inspect.isclass(kind):
        return True
    if kind is not object and issubclass(dict, kind) and issubclass(kind, Mapping | dict):
        return isinstance(value, Mapping) and all(fits(item, inner[1]) for item in value.values() if len(inner) == 2)
    if kind in (list, tuple) or kind.__module__ == 'collections.abc' and issubclass(list, kind):
        return _fits_items(value, kind, inner)
    return True


def _fits_items(value: Any, kind: Any, inner: tuple[Any, ...]) -> bool:
    if not isinstance(value, (list, tuple)):
        return isinstance(value, kind) and not isinstance(value, (str, Mapping))
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(fits, value, inner))
    return not inner or all(fits(item, inner[0]) for item in value)


def named(kind: Any) -> str:
    """An annotation in the words of a message."""
    text = kind.__name__ if inspect.isclass(kind) and not typing.get_args(kind) else str(kind)
    return text.replace('typing.', '').replace('collections.abc.', '').replace('NoneType', 'None')
