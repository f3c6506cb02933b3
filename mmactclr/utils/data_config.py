"""Configs that are data (YAML, JSON, ``--cfg-options``) execute nothing; those in Python are programs of the user's.

mmengine 0.10.7 reads YAML with a loader that builds any Python object a tag names, imports what ``custom_imports``
lists and calls whatever a dotted ``type`` points to. In a Python config that is the user's own code; in data it would
be somebody else's.
"""
import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import BaseFileHandler
from mmengine.fileio.handlers import file_handlers

from mmactclr import registry
from mmactclr.errors import ConfigError

from .config_folders import config_folders, resolve_base

#: Suffixes of configs that are data.
DATA_SUFFIXES = ('.yaml', '.yml', '.json')
# far above any config; aliases of YAML repeat a value without a limit
_MOST_VALUES, _MOST_LEVELS = 100_000, 64
_SCALARS = (str, int, float, bool, type(None))
_SCOPES = (registry.SCOPE, 'mmengine')
# keys whose value mmengine looks up in a registry, and imports and calls where it is a dotted path
_NAMES = ('type', 'runner_type')


class _PlainHandler(BaseFileHandler):
    """Reads YAML or JSON as plain values."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix

    def load_from_fileobj(self, file: TextIO, **kwargs: Any) -> dict[str, Any]:
        """Parse an open file."""
        return parse_plain(file.read(), self.suffix)

    def dump_to_fileobj(self, obj: Any, file: TextIO, **kwargs: Any) -> None:
        """Write plain values as YAML."""
        yaml.safe_dump(obj, file, **kwargs)

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Plain values as YAML."""
        return yaml.safe_dump(obj, **kwargs)


def parse_plain(text: str, suffix: str) -> dict[str, Any]:
    """Fields of a config that is data, by the suffix of its file; :class:`ConfigError` if it holds anything else."""
    content = json.loads(text) if suffix == '.json' else yaml.load(text, Loader=yaml.SafeLoader)  # noqa: S506
    if not isinstance(content, dict):
        raise ConfigError(f'the file holds a {type(content).__name__}, expected fields by name')
    _check_plain(content)
    return content


def _check_plain(content: Any) -> None:
    waiting, seen = [(content, 0, '')], 0
    while waiting:
        node, level, where = waiting.pop()
        seen += 1
        if seen > _MOST_VALUES or level > _MOST_LEVELS:
            raise ConfigError(f'the file holds more than {_MOST_VALUES} values or {_MOST_LEVELS} levels, or values '
                              'that hold themselves')
        if isinstance(node, dict):
            strange = next((key for key in node if not isinstance(key, str)), None)
            if strange is not None:
                raise ConfigError(f'field {where or "(top)"} has the key {strange!r}, expected names')
            waiting += [(value, level + 1, f'{where}.{key}'.lstrip('.')) for key, value in node.items()]
        elif isinstance(node, list):
            waiting += [(value, level + 1, f'{where}.{i}') for i, value in enumerate(node)]
        elif not isinstance(node, _SCALARS):
            raise ConfigError(f'field {where} is of type {type(node).__name__}, expected text, a number, a list or '
                              'fields by name')


@contextmanager
def plain_data() -> Iterator[None]:
    """While open, mmengine reads YAML and JSON as plain values."""
    handlers = {suffix.removeprefix('.'): _PlainHandler(suffix) for suffix in DATA_SUFFIXES}
    before = {name: file_handlers[name] for name in handlers}
    try:
        file_handlers.update(handlers)
        yield
    finally:
        file_handlers.update(before)


def check_bases(path: Path, roots: Sequence[Path], chain: tuple[Path, ...] = ()) -> None:
    """Refuse a config whose ``_base_`` leads back to itself; one that is data builds on data and shipped configs only.

    Args:
        path: Config, of any kind.
        roots: Folders of the configs of this package and of plugins, the only Python files that data may build on.
        chain: Configs that led here.

    Raises:
        ConfigError: If it does otherwise, or is data that names modules to import.
    """
    path = path.resolve()
    if path in chain:
        raise ConfigError(f'{chain[0]}: field _base_ leads back to {path}; take it out of one of the files')
    is_data = path.suffix in DATA_SUFFIXES
    text = path.read_text(encoding='utf-8')
    content = parse_plain(text, path.suffix) if is_data else {'_base_': _base_of_program(text, path)}
    if content.get('custom_imports') is not None:
        raise ConfigError(f'{path}: field custom_imports imports modules, which a config in YAML or JSON must not; '
                          'write the config in Python')
    if is_data:
        check_names(content)
    bases = content.get('_base_') or []
    for base in [bases] if isinstance(bases, str) else bases:
        if not isinstance(base, str) or is_data and '::' in base:
            raise ConfigError(f'{path}: field _base_ is {base!r}, expected a file or a list of them')
        found = resolve_base(base, path.parent)
        if found is None:
            if base.partition('::')[0] not in MODULE2PACKAGE:
                raise ConfigError(f'{path}: field _base_ names {base}, a package that is not installed or has no '
                                  f'configs; expected one of {", ".join(config_folders())}')
            continue  # mmengine looks for it
        target = found.resolve()
        if is_data and target.suffix == '.py' and not any(root.resolve() in target.parents for root in roots):
            raise ConfigError(f'{path}: field _base_ names {base}, a program that is none of the configs of this '
                              'package, which a config in YAML or JSON must not execute; write the config in Python')
        if target.is_file():
            check_bases(target, roots, (*chain, path))
        else:
            raise ConfigError(f'{path}: field _base_ names {base}, and {target} does not exist')


def _base_of_program(text: str, path: Path) -> Any:
    """What a config in Python gives as ``_base_``, which mmengine takes from the text as well."""
    for node in ast.parse(text, str(path)).body:
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == '_base_'
                                                for target in node.targets):
            return ast.literal_eval(node.value)
    return None


def check_names(node: Any, where: str = '') -> None:
    """Refuse data that names a function or class by its path, which mmengine would import and call.

    Args:
        node: Values of a config that is data, or of options.
        where: Dotted name of the values.

    Raises:
        ConfigError: If a ``type`` with a dot is no registered component; the message names the field.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            field = f'{where}.{key}'.lstrip('.')
            if str(key).rpartition('.')[2] in _NAMES and isinstance(value, str) and '.' in value:
                _check_name(value, field)
            if str(key).rpartition('.')[2] in ('_scope_', 'default_scope') and value not in _SCOPES:
                raise ConfigError(f'field {field} is {value!r}, expected one of {", ".join(_SCOPES)}; other packages '
                                  'are named in a config in Python')
            check_names(value, field)
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            check_names(value, f'{where}.{i}')


def _check_name(value: str, field: str) -> None:
    scope, _, name = value.partition('.')
    tables = [each for each in vars(registry).values() if isinstance(each, registry.Registry)]
    for each in tables if scope in _SCOPES else ():
        each.import_from_location()
        if any(name in level.module_dict for level in (each, each.parent) if level):
            return
    raise ConfigError(f'field {field} is {value!r}, which is not registered here: only a config in Python may name '
                      'classes and functions by their path')
