"""What the tool lists is what the registries hold."""
import importlib.util
import inspect

import pytest

import mmactclr.evaluation
import mmactclr.models  # noqa: F401  (registers what is listed)
from mmactclr import registry


@pytest.fixture(scope='module')
def listing(repo_root):
    spec = importlib.util.spec_from_file_location('tool_list', repo_root / 'tools' / 'list.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('kind', ['backbones', 'methods', 'losses', 'transforms', 'evaluators'])
def test_parts_are_those_of_the_registry(listing, kind):
    folder, name = listing.PARTS[kind]
    package = 'mmactclr.' + folder.replace('/', '.')
    expected = {key: inspect.getdoc(part).partition('\n')[0]
                for key, part in getattr(registry, name).module_dict.items()
                if part.__module__.startswith(package + '.')}
    assert listing.rows(kind) == expected and expected
