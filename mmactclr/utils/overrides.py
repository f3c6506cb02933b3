"""Overrides of configs: what would do nothing is refused in one line that says what to set instead."""
import ast
import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from mmactclr.components import close_modules
from mmactclr.errors import ConfigError

from .config_folders import bases_of_packages, resolve_base
from .data_config import parse_plain, plain_data

# top-level entries that mmengine reads from the config without being arguments of its Runner
_RUNNER_READS = ('auto_scale_lr', 'compile', 'custom_imports', 'find_unused_parameters', 'model_wrapper_cfg',
                 'runner_type')
# hooks that mmengine adds by itself under these names of default_hooks, and leaves out where one is None
RUNNER_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
# what a field of a config file that is not written out literally is taken for
_UNTOLD = object()


def check_fields(cfg: Config, options: Mapping[str, Any], path: Path, shared: Collection[str]) -> None:
    """Refuse an override whose first name neither the config nor mmengine's Runner knows: it would do nothing.

    The same goes for the name of a default hook, unless it comes with a type.

    Args:
        cfg: Config before the overrides.
        options: Overrides by dotted key.
        path: File of the config.
        shared: Names of the shared fields.

    Raises:
        ConfigError: If there is one; the message has the nearest names, or the places to override.
    """
    known = {*cfg.keys(), *inspect.signature(Runner.__init__).parameters, *_RUNNER_READS}
    for option in options:
        name = option.split('.')[0]
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f'did you mean {" or ".join(near)}?' if near else f'the config has {", ".join(sorted(cfg.keys()))}'
            raise ConfigError(f'--cfg-options {option}: there is no {name!r} in {path}; {hint}')
    _check_helpers(cfg.to_dict(), [option for option in options if option.split('.')[0] not in shared], path)
    hooks = {*(cfg.get('default_hooks') or {}), *RUNNER_HOOKS}
    for option, value in options.items():
        first, *rest = option.split('.')
        new = isinstance(value, Mapping) and 'type' in value or f'{first}.{rest[0] if rest else ""}.type' in options
        if first == 'default_hooks' and rest and rest[0] not in hooks and not new:
            near = difflib.get_close_matches(rest[0], hooks, n=3)
            hint = f'did you mean {" or ".join(near)}?' if near else f'there are {", ".join(sorted(hooks))}'
            raise ConfigError(f'--cfg-options {option}: there is no hook {rest[0]!r} in default_hooks of {path}; '
                              f'{hint} A new one needs a type: default_hooks.{rest[0]}.type=...')


def _check_helpers(cfg: Mapping[str, Any], options: Iterable[str], path: Path) -> None:
    """Refuse an override of a variable of the file, such as ``weak``, whose value was put into its places already."""
    read = {*inspect.signature(Runner.__init__).parameters, *_RUNNER_READS}
    for option in options:
        name = option.split('.')[0]
        value = cfg.get(name)
        # of a number it cannot be told where it was put
        if name in read or not value or not isinstance(value, (dict, list, tuple)):
            continue
        places = [place for field in cfg if field in read for place in _places(cfg[field], value, field)]
        if places:
            instead = ' and '.join(place + option[len(name):] for place in places)
            raise ConfigError(f'--cfg-options {option}: {name!r} is a variable of {path}, whose value was put into its '
                              f'places when the file was read; override {instead} instead')


def _places(node: Any, value: Any, where: str) -> Iterator[str]:
    if _plain(node) == _plain(value):
        yield where
    elif isinstance(node, Mapping):
        for key, one in node.items():
            yield from _places(one, value, f'{where}.{key}')
    elif isinstance(node, (list, tuple)):
        for i, one in enumerate(node):
            yield from _places(one, value, f'{where}.{i}')


def import_named(imports: Any, path: Path) -> None:
    """Import the modules that overrides add to ``custom_imports``.

    Args:
        imports: The field after merging.
        path: File of the config.

    Raises:
        ConfigError: If the field has another form, or a module cannot be imported.
    """
    try:
        import_modules_from_strings(**imports)
    except ImportError as error:
        raise ConfigError(f'--cfg-options: a module that custom_imports names could not be imported: '
                          f'{missing_module(error, [Path(), path.parent])}') from error
    except TypeError as error:
        raise ConfigError(f'--cfg-options: custom_imports is {imports!r}, expected custom_imports.imports=[my_module]'
                          ) from error


def import_modules(names: Iterable[str], option: str) -> None:
    """Import modules that an option of a tool names.

    Raises:
        ConfigError: If one cannot be imported; the message has modules with a similar name.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(f'{option} {name}: {missing_module(error, [Path()])}') from error


def missing_module(error: ImportError, folders: Iterable[Path]) -> str:
    """What was not found, modules with a similar name, and where Python looks for them.

    Args:
        error: What the import raised, of which the first cause counts.
        folders: Where the module may lie, besides the path of Python.
    """
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    near = close_modules(str(getattr(cause, 'name', None) or ''), folders)
    hint = f'did you mean {" or ".join(near)}? Correct the name, and ' if near else ''
    return f'{cause}; {hint}put the folder that holds it on PYTHONPATH'


def check_overrides_of_shared(options: Mapping[str, Any], cfg: Mapping[str, Any], sections: Collection[str],
                              shared: Mapping[str, Any]) -> None:
    """Refuse an override of a place over which a shared field of another value is written.

    Args:
        options: Overrides by dotted key.
        cfg: The config with them, before the shared fields are written.
        sections: Top-level fields below which shared fields are written.
        shared: Values of the shared fields.

    Raises:
        ConfigError: If there is one; the message names the place and the field to set instead.
    """
    _check_shared('--cfg-options ', {tuple(option.split('.')): value for option, value in options.items()}, cfg,
                  sections, shared)


def check_file_of_shared(path: Path, cfg: Mapping[str, Any], sections: Collection[str],
                         shared: Mapping[str, Any]) -> None:
    """The same for what a config that builds on others changes of theirs in its own file, written out literally.

    Components that it adds name such places to have them filled in: those with ``_delete_``, in a list, or of a
    ``type`` that the others do not have there.

    Args:
        path: File of the config.
        cfg: The config without overrides, before the shared fields are written.
        sections: Top-level fields below which shared fields are written.
        shared: Values of the shared fields.

    Raises:
        ConfigError: If there is one.
    """
    _check_shared(f'{path}: ', _own_fields(path, shared), cfg, sections, shared)


def _check_shared(source: str, stated: Mapping[tuple[str, ...], Any], cfg: Mapping[str, Any],
                  sections: Collection[str], shared: Mapping[str, Any]) -> None:
    for place, _ in _leaves(stated):
        depth = next((i for i, name in enumerate(place) if i and name in shared), None)
        if place[0] not in sections or depth is None:
            continue
        name, where = place[depth], '.'.join(place[:depth + 1])
        value = _at(cfg, place[:depth + 1])
        if value is not _UNTOLD and not any(_plain(value) == _plain(one) for one in (shared[name], cfg.get(name))):
            raise ConfigError(f'{source}{where}: {value!r} would be replaced by the field {name} of the config, '
                              f'{shared[name]!r}, which is written into every place of that name; set {name} instead')


def _leaves(fields: Mapping[tuple[str, ...], Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything below some fields that has no fields below it, with its place."""
    for place, value in fields.items():
        inner = (value.items() if isinstance(value, Mapping) else enumerate(value)
                 if isinstance(value, (list, tuple)) else ())
        below = {(*place, str(key)): one for key, one in inner}
        if below:
            yield from _leaves(below)
        elif value is not _UNTOLD:
            yield place, value


def _at(node: Any, place: Iterable[str]) -> Any:
    for name in place:
        if isinstance(node, Mapping) and name in node:
            node = node[name]
        elif isinstance(node, (list, tuple)) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return _UNTOLD
    return node


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _own_fields(path: Path, shared: Collection[str]) -> dict[tuple[str, ...], Any]:
    """What a config that builds on others states itself, as far as it is written out literally."""
    if path.suffix == '.py':
        body = ast.parse(path.read_text(encoding='utf-8')).body
        fields = {target.id: _literal(node.value) for node in body if isinstance(node, ast.Assign)
                  for target in node.targets if isinstance(target, ast.Name)}
    else:
        fields = parse_plain(path.read_text(encoding='utf-8'), path.suffix)
    if '_base_' not in fields:
        return {}
    bases = cache(partial(_read_bases, path, fields['_base_']))
    return {(name,): _changes(value, (name,), shared, bases) for name, value in fields.items()}


def _changes(value: Any, place: tuple[str, ...], shared: Collection[str], bases: Callable[[], Any]) -> Any:
    """Without new components and lists, which have to name the places that shared fields are written into."""
    if isinstance(value, Mapping):
        new = '_delete_' in value or 'type' in value
        if new and '_delete_' not in value and not set(shared).isdisjoint(value):
            # one of the same type is merged into that of the bases
            new = _at(bases(), (*place, 'type')) != value['type']
        return {key: _changes(one, (*place, str(key)), shared, bases) for key, one in value.items()
                if not new or isinstance(one, Mapping)}
    return _UNTOLD if isinstance(value, (list, tuple)) else value


def _read_bases(path: Path, names: str | list[str]) -> dict[str, Any]:
    """The fields of all configs that one builds on; those of another package's are left out."""
    files = [resolve_base(name, path.parent) for name in ([names] if isinstance(names, str) else names)]
    with plain_data(), bases_of_packages():
        read = [Config.fromfile(str(file), import_custom_modules=False).to_dict() for file in files if file]
    return {name: value for fields in read for name, value in fields.items()}


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {word.arg: _literal(word.value) for word in node.keywords if word.arg}
    if isinstance(node, ast.Dict):
        return {key.value: _literal(value) for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(value) for value in node.elts]
    return node.value if isinstance(node, ast.Constant) else _UNTOLD
