"""Registries whose errors name what is close: types, arguments, and the file that nothing imports."""
import difflib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import Registry

from .errors import ConfigError, did_you_mean, near_names
from .plugins import describe_broken

_UNKNOWN = re.compile(r'(\S+) is not in the \S+::(.+?) registry')
_UNEXPECTED = re.compile(r"(?:(\w+)\.__init__|(\w+))\(\) got an unexpected keyword argument '(\w+)'")
_MISSING = re.compile(r'(?:(\w+)\.__init__|(\w+))\(\) missing \d+ required [\w-]+ arguments?: (.+)')
_UNTYPED = re.compile(r'`cfg` or `default_args` must contain the key "type"')
# a folder on the path may be a home directory
_MOST_FILES, _MOST_BYTES = 400, 10 ** 6


class ComponentRegistry(Registry):
    """A registry of mmengine that says, where a type or an argument is unknown, which ones are close."""

    def build(self, cfg: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Build a component from its config.

        Raises:
            ConfigError: If the type is not registered or takes no argument of that name.
        """
        try:
            return super().build(cfg, *args, **kwargs)
        except (KeyError, TypeError) as error:
            said = describe(error, self._known())
            if said is None:
                raise
            # with the frames that tell which field it was
            raise ConfigError(said).with_traceback(error.__traceback__) from error

    def _known(self) -> dict[str, Any]:
        self.import_from_location()
        return {**(self.parent.module_dict if self.parent else {}), **self.module_dict}


def describe(error: Exception, known: dict[str, Any], folders: Iterable[Path] = ()) -> str | None:
    """What an unknown type or argument is close to; None for errors of another kind.

    Args:
        error: What building raised.
        known: Components by name.
        folders: Where a file may lie that registers an unknown type, besides those on the path of Python.
    """
    text = str(error.args[0]) if error.args else ''
    unknown = _UNKNOWN.match(text) if isinstance(error, KeyError) else None
    if unknown:
        return unknown_type(unknown[1], unknown[2], known, folders)
    if isinstance(error, KeyError) and _UNTYPED.match(text):
        return untyped(_last_value(error, 'cfg'))
    unexpected = _UNEXPECTED.search(text) if isinstance(error, TypeError) else None
    missing = _MISSING.search(text) if isinstance(error, TypeError) else None
    found = unexpected or missing
    if not found:
        return None
    owner, words = found[1] or found[2], found[3]
    # what a component calls with arguments of the config, such as the memory of a method, is no component
    component = next((each for each in known.values() if owner in _names(each)), None) or _last_value(error, owner)
    if not callable(component):
        return None
    return unknown_argument(component, words) if unexpected else missing_argument(component, words)


def _last_value(error: Exception, name: str) -> Any:
    """What a name stood for where an error was raised; None if nothing of ours or of mmengine's did."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return None
    frame = trace.tb_frame
    return frame.f_locals.get(name, frame.f_globals.get(name))


def untyped(config: Any) -> str:
    """Words for a description of a component that does not say which."""
    names = list(map(str, config)) if isinstance(config, Mapping) else []
    near = near_names('type', names)
    hint = f'{near[0]!r} should be called type' if near else "add type='NAME'"
    return f'a component is described by {", ".join(names) or "nothing"} and has no type; {hint}'


def missing_argument(component: Any, words: str) -> str:
    """Words for arguments of a component that have to be given and are not, as Python lists them."""
    return f'{component.__name__} needs {words}, which is not given; it takes ' \
           f'{", ".join(_taken(component))}, see its docstring'


def _names(component: Any) -> set[str]:
    return {each.__name__ for each in component.__mro__} if inspect.isclass(component) else {
        getattr(component, '__name__', '')}


def unknown_type(name: str, kind: str, known: Iterable[str], folders: Iterable[Path] = ()) -> str:
    """Words for a ``type`` that no registry of a kind (``model``, ``hook``, ...) knows."""
    near = near_names(name.rpartition('.')[2], known)
    said = f'type {name!r} is not registered as {kind}' + (f' (close to {", ".join(near)})' if near else '')
    found = next(find_definitions(name.rpartition('.')[2], folders), None)
    if found is None:
        return said + ('; correct the name, or import the file that registers it: custom_imports=dict(imports='
                       "['my_module']) in the config, its folder on PYTHONPATH" + describe_broken())
    module, folder = found
    place = '' if str(folder) in map(_absolute, sys.path) else f', with {folder} on PYTHONPATH'
    return f'{said}; {module}.py in {folder} defines it and nothing imports that: custom_imports=dict(imports=' \
           f"[{module!r}]) in the config{place}"


def unknown_argument(component: Any, word: str) -> str:
    """Words for an argument that a component does not take."""
    taken = _taken(component)
    return f'{component.__name__} has no argument {word!r}; {did_you_mean(word, taken)}It takes ' \
           f'{", ".join(taken)}, see its docstring'


def _taken(component: Any) -> list[str]:
    return [name for name in _arguments(component) if name not in ('self', 'args', 'kwargs')]


def _arguments(component: Any) -> list[str]:
    """Arguments by name, those of base classes included where ``**kwargs`` hands them on."""
    functions = [vars(each)['__init__'] for each in component.__mro__ if '__init__' in vars(each)] \
        if inspect.isclass(component) else [component]
    found: dict[str, None] = {}
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # of object, and of classes in C
            break
        found |= dict.fromkeys(each.name for each in parameters if each.kind not in (
            each.VAR_POSITIONAL, each.VAR_KEYWORD))
        if not any(each.kind == each.VAR_KEYWORD for each in parameters):
            break
    return list(found)


def find_definitions(name: str, folders: Iterable[Path] = ()) -> Iterator[tuple[str, Path]]:
    """Modules that define a class or function and are not imported, with the folder that has to be on the path.

    Looked at are the files right in ``folders`` and in what the user put on the path of Python, and in packages there.
    """
    wanted = re.compile(rf'^(?:class|def) {re.escape(name)}\b', re.MULTILINE)
    for module, path, folder in _modules(folders):
        if module not in sys.modules and path.stat().st_size < _MOST_BYTES \
                and wanted.search(path.read_text(encoding='utf-8', errors='replace')):
            yield module, folder


def close_modules(name: str, folders: Iterable[Path] = ()) -> list[str]:
    """Modules with a name like this one, looked for as :func:`find_definitions` does."""
    return difflib.get_close_matches(name, {module for module, _, _ in _modules(folders)}, n=3)


def _modules(folders: Iterable[Path]) -> Iterator[tuple[str, Path, Path]]:
    """Name, file and folder of modules of the user's."""
    ours = importlib.util.find_spec('mmactclr')
    installed = {_absolute(sys.prefix), _absolute(sys.base_prefix)}
    own = Path(str(ours.origin)).parents[1] if ours and ours.origin else Path()
    wanted = dict.fromkeys([*map(_absolute, folders), *map(_absolute, sys.path)])
    seen = 0
    for folder in (Path(each) for each in wanted if not any(each.startswith(prefix) for prefix in installed)):
        if folder == own or not folder.is_dir():
            continue
        for path in sorted([*folder.glob('*.py'), *folder.glob('*/*.py')]):
            seen += 1
            if seen > _MOST_FILES:
                return
            if path.parent == folder:
                yield path.stem, path, folder
            elif (path.parent / '__init__.py').is_file() and path.stem != '__init__':
                yield f'{path.parent.name}.{path.stem}', path, folder


def _absolute(folder: Any) -> str:
    return str(Path(folder or '.').resolve())
