"""Plugins that are found by entry point: broken ones are named, all of them can be left out."""

import importlib.util
import logging
import os
import subprocess
import sys
import threading

import pytest

from mmactclr import plugins
from mmactclr.apis import list_models
from mmactclr.apis.build_errors import unknown_type
from mmactclr.errors import ConfigError
from mmactclr.registry import CONVERTERS, MODELS
from mmactclr.structures import get_layout, list_layouts
from mmactclr.utils import find_config, load_config


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts packages on the path, each with the metadata of an installed distribution that names it as a plugin."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins._Loading, 'done', None)
    monkeypatch.delenv(plugins.SWITCH, raising=False)
    plugins._installed.cache_clear()
    before, modules = dict(MODELS._module_dict), set(sys.modules)

    def write(name, code):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(code)
        info = tmp_path / f'dist_{name}-1.2.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.2\n')
        (info / 'entry_points.txt').write_text(f'[{plugins.GROUP}]\nplug_{name} = {name}\n')
        return tmp_path / name

    yield write
    plugins._installed.cache_clear()
    for module in set(sys.modules) - modules:
        if getattr(sys.modules[module], '__file__', None) and str(tmp_path) in str(sys.modules[module].__file__):
            del sys.modules[module]
    MODELS._module_dict.clear()
    MODELS._module_dict.update(before)


GOOD = '''
from mmactclr.models import STGCN
from mmactclr.registry import MODELS

@MODELS.register_module()
class {}(STGCN):
    """One more."""
'''


@pytest.mark.parametrize('code, said', [
    ('import no_such_module', "ModuleNotFoundError: No module named 'no_such_module' (__init__.py:1)"),
    ('\n\nraise SystemExit("bye")', 'SystemExit: bye (__init__.py:3)'),
    ('def broken(:', 'SyntaxError'),
    (GOOD.format('MoCo'), 'KeyError: \'MoCo is already registered in model at'),
], ids=['import', 'exit', 'syntax', 'name_taken'])
def test_a_broken_plugin_is_named_and_left_out(install, caplog, code, said):
    install('broken', code)
    install('whole', GOOD.format('WholeNet'))
    with caplog.at_level(logging.WARNING, 'mmactclr'):
        assert MODELS.get('WholeNet').__module__ == 'whole'
        assert MODELS.get('MoCo').__module__ == 'mmactclr.models.algorithms.moco'
    [record] = caplog.records
    message = record.getMessage()
    for part in ("plugin 'plug_broken' of dist-broken 1.2 (entry point mmactclr.plugins: plug_broken = broken)", said,
                 "python -c 'import broken'", 'MMACTCLR_PLUGINS=off'):
        assert part in message
    assert '\n' not in message
    # whoever misses what it would have added is told why
    assert said in str(unknown_type('mine.py', 'BrokenNet', 'model'))
    assert [(each.package, bool(each.error)) for each in plugins.load_plugins()] == [
        ('dist-broken 1.2', True), ('dist-whole 1.2', False)]


@pytest.mark.parametrize('value, loaded', [('off', False), ('OFF', False), ('on', True)])
def test_plugins_are_left_out_by_a_variable(install, monkeypatch, value, loaded):
    folder = install('other', GOOD.format('OtherNet'))
    (folder / 'configs').mkdir()
    (folder / 'configs' / 'other_joint_a_b.py').write_text('')
    monkeypatch.setenv(plugins.SWITCH, value)
    assert ('OtherNet' in MODELS.module_dict) == loaded == ('other_joint_a_b' in list_models())


def test_another_value_of_the_variable_is_refused(install, monkeypatch):
    monkeypatch.setenv(plugins.SWITCH, 'of')
    with pytest.raises(ConfigError, match="MMACTCLR_PLUGINS is 'of', expected on or off"):
        MODELS.get('MoCo')


def test_layouts_of_a_plugin_are_known(install):
    install('sticks', '''
from mmactclr.structures import Layout, register_layout
register_layout(Layout.from_edges(
    'plugged', joints=['neck', 'left_shoulder', 'left_hand', 'right_shoulder', 'right_hand',
                       'left_hip', 'left_foot', 'right_hip', 'right_foot'],
    edges=[(0, 1), (1, 2), (0, 3), (3, 4), (0, 5), (5, 6), (0, 7), (7, 8)]))
''')
    from mmactclr.structures import layouts
    try:
        assert get_layout('plugged').num_joints == 9 and 'plugged' in list_layouts()
    finally:
        layouts._LAYOUTS.pop('plugged', None)


def test_a_search_in_another_thread_waits_for_plugins(install):
    install('slow', 'import time; time.sleep(0.3)' + GOOD.format('SlowNet'))
    threads = [threading.Thread(target=lambda: found.append(MODELS.get('SlowNet'))) for _ in range(2)]
    found = []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0] is found[1] is not None


def test_configs_of_a_plugin_build_on_ours_and_are_found_by_name(install, tmp_path):
    folder = install('other', 'raise RuntimeError("configs are found without importing it")')
    (folder / 'configs' / 'deep').mkdir(parents=True)
    own = folder / 'configs' / 'deep' / 'other_joint_a_b.py'
    own.write_text("_base_ = 'mmactclr::actclr/actclr_joint_synthetic_xsub.py'\nnum_frames = 24\n")
    assert find_config('other_joint_a_b') == find_config('deep/other_joint_a_b') == own
    cfg, ours = load_config('other_joint_a_b'), load_config('actclr_joint_synthetic_xsub')
    assert cfg.model.num_frames == 24 and cfg.optim_wrapper == ours.optim_wrapper
    # a user's own config on that of the plugin
    (tmp_path / 'mine.py').write_text("_base_ = ['other::deep/other_joint_a_b.py']\nsplit = 'xview'\n")
    mine = load_config(tmp_path / 'mine.py')
    assert mine.model.num_frames == 24 and mine.split == 'xview'
    # ours come first where names are the same
    (folder / 'configs' / 'actclr_joint_synthetic_xsub.py').write_text('')
    assert 'num_frames' in load_config('actclr_joint_synthetic_xsub')


@pytest.mark.parametrize('base, missing', [
    ('mmactclr::actclr/no_such.py', r'_base_ names mmactclr::actclr/no_such\.py, and .*no_such\.py does not exist'),
    ('no_package::a.py', r'_base_ names no_package::a.py, a package that .* one of mmactclr'),
])
def test_a_base_that_is_not_there_is_named(tmp_path, base, missing):
    (tmp_path / 'mine.py').write_text(f'_base_ = {base!r}\n')
    with pytest.raises(ConfigError, match=missing):
        load_config(tmp_path / 'mine.py')


def test_a_config_that_is_data_builds_on_no_package(tmp_path):
    (tmp_path / 'mine.yaml').write_text("_base_: 'mmactclr::actclr/actclr_joint_synthetic_xsub.py'\n")
    with pytest.raises(ConfigError, match='field _base_'):
        load_config(tmp_path / 'mine.yaml')


def test_finding_plugins_needs_no_torch(repo_root):
    code = 'import sys, mmactclr.plugins as p; p.plugin_configs(); p.load_plugins(); print("torch" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], cwd=repo_root, capture_output=True, text=True, check=True,
                          env=dict(os.environ, PYTHONPATH=str(repo_root)))
    assert done.stdout.strip() == 'False'


def test_formats_of_plugins_are_listed(install, repo_root):
    spec = importlib.util.spec_from_file_location('tool_list', repo_root / 'tools' / 'list.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = module.rows('formats')
    install('takes', 'from mmactclr.datasets.converters import BaseConverter\n'
                     'from mmactclr.registry import CONVERTERS\n\n'
                     "@CONVERTERS.register_module('takes')\n"
                     'class Takes(BaseConverter):\n    """Takes of mine.\n\n    More."""\n'
                     '    def convert(self, src, dst, *, overwrite=False, strict=False):\n        return None\n')
    plugins._installed.cache_clear()
    try:
        assert 'takes' not in own and module.rows('formats') == {**own, 'takes': 'Takes of mine.'}
    finally:
        CONVERTERS._module_dict.pop('takes', None)
