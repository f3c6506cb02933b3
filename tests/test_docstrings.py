"""Every public name is documented: in docs/api.md, with its own arguments, with shapes where it takes tensors."""
import dataclasses
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import mmactclr

API = (Path(__file__).resolve().parents[1] / 'docs' / 'api.md').read_text()
# what every module of mmengine takes
OF_MMENGINE = {'init_cfg'}
SHAPE = re.compile(r"\((?:\.\.\.|\w+|[A-Z]['\w *+-]*),")


def public_names() -> dict[str, tuple[Any, set[str]]]:
    """Functions and classes in ``__all__`` of packages, and which have them, by where they are defined."""
    found: dict[str, tuple[Any, set[str]]] = {}
    packages = [info.name for info in pkgutil.walk_packages(mmactclr.__path__, 'mmactclr.') if info.ispkg]
    for package in packages:
        module = importlib.import_module(package)
        for name in getattr(module, '__all__', ()):
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found.setdefault(f'{value.__module__}.{value.__qualname__}', (value, set()))[1].add(package)
    return found


NAMES = public_names()
each = pytest.mark.parametrize('name', sorted(NAMES))


def section(text: str, title: str) -> list[str] | None:
    """Names that a section of a Google docstring describes, None where it has no such section."""
    found = re.search(rf'^{title}:\n((?:[ ]+.*\n?|\n)+)', text + '\n', re.MULTILINE)
    return None if found is None else [
        entry.lstrip('*') for entry in re.findall(r'^    (\*{0,2}\w+)(?: \([^)]*\))?:', found[1], re.MULTILINE)]


def parameters(value: Any) -> tuple[list[str], list[str]]:
    """All parameters, and those that have names of their own."""
    taken = inspect.signature(value).parameters.values()
    return [one.name for one in taken], [one.name for one in taken if one.kind not in (
        one.VAR_POSITIONAL, one.VAR_KEYWORD) and one.name not in OF_MMENGINE]


def test_the_section_is_read_in_every_form():
    text = ('What.\n\nArgs:\n    one: First,\n        and more.\n    *rest: Others.\n\n    two (int): Second.\n\n'
            'Raises:\n    E: No.')
    assert section(text, 'Args') == ['one', 'rest', 'two'] and section(text, 'Attributes') is None


@each
def test_arguments_are_described_as_the_signature_has_them(name):
    value, _ = NAMES[name]
    assert value.__doc__, 'no docstring'
    text = inspect.getdoc(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name for field in dataclasses.fields(value) if not field.name.startswith('_')}
        assert set(section(text, 'Attributes') or section(text, 'Args') or ()) == fields
        return
    described = section(text, 'Args')
    taken, named = parameters(value)
    if described is None:
        # a sentence or attributes may do
        assert len(named) <= 3 or section(text, 'Attributes') or 'has the same arguments' in text
        return
    # a class whose **kwargs go to its base may describe those of the base
    inherited = {one for base in value.__mro__[1:] for one in parameters(base)[0]} if inspect.isclass(value) else set()
    missing = set(named) - set(described)
    if inspect.isclass(value) and '__init__' not in vars(value):
        # all of them are those of the base
        inherited.add('kwargs')
    assert not set(described) - set(taken) - inherited, 'described, but not taken'
    assert not missing or 'kwargs' in described and missing <= inherited, f'taken, but not described: {missing}'


@each
def test_functions_of_tensors_say_their_shapes(name):
    value, _ = NAMES[name]
    if inspect.isclass(value):
        return
    takes = [one for one in inspect.signature(value).parameters.values()
             if re.fullmatch(r"(?:torch\.)?Tensor(?: \| None)?|<class 'torch.Tensor'>", str(one.annotation))]
    if takes:
        assert SHAPE.search(inspect.getdoc(value)), f'no shape of {", ".join(one.name for one in takes)}'


def test_every_public_name_is_on_the_page():
    listed = {entry.rpartition('.')[2] for entry in re.findall(r'auto(?:function|class):: ([\w.]+)', API)}
    whole = re.findall(r'automodule:: ([\w.]+)\n   :members:(.*)', API)
    missing = [
        name for name, (value, packages) in NAMES.items()
        if value.__name__ not in listed and not any(
            (module in packages or name.startswith(f'{module}.')) and (not some.strip() or value.__name__ in some)
            for module, some in whole)]
    assert not missing, f'give docs/api.md a line for {missing}'
