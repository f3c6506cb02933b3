"""Fields stated once reach every place; joints come from the archive; wrong names are told."""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmactclr.datasets import SkeletonArchive
from mmactclr.errors import ConfigError
from mmactclr.structures import get_layout
from mmactclr.utils import load_config
from mmactclr.utils.config import FROM_ARCHIVE, SHARED_FIELDS, find_config, share_fields

CUSTOM = 'actclr_joint_custom'
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def test_shared_fields_are_written_where_they_are_named_and_nowhere_else():
    cfg = Config(
        dict(
            layout='coco17',
            num_frames=8,
            model=dict(layout='ntu25', head=[dict(num_frames=1), dict(size=3)], split='own'),
            test_dataloader=dict(dataset=dict(views=(dict(layout='ntu25'),), num_frames=1)),
            val_dataloader=None,
            hooks=[dict(layout='ntu25')],
        )
    )
    shared = share_fields(cfg)
    assert shared is cfg
    # `split` is not stated at the top, hooks are not what the fields are for
    assert cfg.model == dict(layout='coco17', head=[dict(num_frames=8), dict(size=3)], split='own')
    assert cfg.test_dataloader == dict(dataset=dict(views=(dict(layout='coco17'),), num_frames=8))
    assert cfg.val_dataloader is None and cfg.hooks == [dict(layout='ntu25')]


@pytest.mark.parametrize('name', SHARED_FIELDS)
def test_option_wins_over_what_the_config_shares(name, tiny_archive):
    value = dict(
        data_root='elsewhere', layout='coco17', split='xother', num_frames=7, max_persons=3,
        remap=True, up='+z', metres_per_unit=0.01, init_from='encoder.pth', num_classes=9,
        label_subset='labels.json', from_scratch=True, archives=['here'], divide=False
    )[name]
    options = {'data_root': str(tiny_archive), 'layout': 'ntu25', name: value}
    before = dict(options)
    supervised = name in ('num_classes', 'label_subset', 'from_scratch')
    config = 'actclr_joint_shards_xsub' if name in ('archives', 'divide') else CUSTOM
    cfg = load_config('benchmarks/semi/semi1_custom.py' if supervised else config, options)
    if name == 'num_classes':
        place = cfg.model.head
    else:
        place = cfg.custom_hooks[0] if name in ('init_from', 'from_scratch') else cfg.train_dataloader.dataset
    assert cfg[name] == value == place[name]
    assert options == before


def test_joints_are_those_of_the_archive(tiny_archive):
    cfg = load_config(CUSTOM, {'data_root': str(tiny_archive)})
    layout = SkeletonArchive.open(tiny_archive).layout
    model = cfg.model
    for found in (cfg, cfg.test_dataloader.dataset, model, model.backbone, model.data_preprocessor):
        assert get_layout(found.layout) == layout


def test_joints_are_those_of_the_archive_that_an_option_names(tiny_archive, tmp_path):
    edges = [[0, 1], [0, 2], [1, 3], [2, 4]]
    joints = ['neck', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip']
    (tmp_path / 'meta.json').write_text(
        json.dumps({'layout': dict(name='five', joints=joints, edges=edges)})
    )
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = {str(CONFIGS / 'actclr/actclr_joint_custom.py')!r}\n"
        f'data_root = {str(tiny_archive)!r}\n'
    )
    assert get_layout(load_config(path).layout).num_joints == 20
    cfg = load_config(path, {'data_root': str(tmp_path)})
    assert get_layout(cfg.model.layout).joints == tuple(joints)


def test_layout_that_is_stated_needs_no_archive(tmp_path):
    cfg = load_config(CUSTOM, {'data_root': str(tmp_path / 'none'), 'layout': 'coco17'})
    assert cfg.model.layout == 'coco17'


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        (None, 'FileNotFoundError'),
        ('{"layout": ', 'JSONDecodeError'),
        ('{"fps": 30}', 'KeyError'),
    ],
)
def test_archive_without_joints_is_named(text, reason, tmp_path):
    if text is not None:
        (tmp_path / 'meta.json').write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(CUSTOM, {'data_root': str(tmp_path)})
    message = str(error.value)
    assert all(
        part in message
        for part in (repr(FROM_ARCHIVE), str(tmp_path / 'meta.json'), reason, 'data_root')
    )


@pytest.mark.parametrize(
    'name',
    [
        CUSTOM,
        f'{CUSTOM}.py',
        f'actclr/{CUSTOM}',
        f'configs/actclr/{CUSTOM}.py',
        CONFIGS / f'actclr/{CUSTOM}.py',
    ],
)
def test_config_is_found_by_path_or_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == CONFIGS / f'actclr/{CUSTOM}.py'


def test_file_of_the_user_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / f'configs/actclr/{CUSTOM}.py'
    mine.parent.mkdir(parents=True)
    shutil.copy(CONFIGS / f'actclr/{CUSTOM}.py', mine)
    assert find_config(f'configs/actclr/{CUSTOM}.py').resolve() == mine


@pytest.mark.parametrize(
    ('name', 'listed', 'left_out'),
    [
        ('moco_joint_nowhere', 'moco_joint_ntu60_xsub', CUSTOM),
        ('configs/moco/nothing_like_it.py', CUSTOM, 'small_300e'),
    ],
)
def test_unknown_name_lists_similar_ones_or_all(name, listed, left_out):
    with pytest.raises(ConfigError) as error:
        find_config(name)
    message = str(error.value)
    assert repr(name) in message and listed in message and left_out not in message


def test_module_that_cannot_be_imported_is_named(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("custom_imports = dict(imports=['no_such_module_of_mine'])\n")
    with pytest.raises(ConfigError, match=r'mine\.py.*no_such_module_of_mine.*PYTHONPATH'):
        load_config(path)


PLAIN = 'actclr_joint_synthetic_xsub'


@pytest.mark.parametrize(
    ('place', 'value', 'field'),
    [
        ('train_dataloader.dataset.data_root', 'data/other', 'data_root'),
        ('test_dataloader.dataset.split', 'xview', 'split'),
        ('model.layout', 'ntu52', 'layout'),
        ('model.backbone', dict(layout='ntu52'), 'layout'),
        ('custom_hooks.0.init_from', 'encoder.pth', 'init_from'),
    ],
)
def test_an_override_that_a_shared_field_would_replace_is_refused(place, value, field):
    with pytest.raises(ConfigError, match=rf'--cfg-options {place}.*; set {field} instead'):
        load_config(PLAIN, {place: value})
    # what replaces it may say the same
    same = {field: value['layout'] if isinstance(value, dict) else value}
    load_config(PLAIN, {place: value, **same})


def test_an_override_of_what_is_not_shared_stays():
    cfg = load_config(PLAIN, {'train_dataloader.dataset.archives': ['a'], 'model.stream': 'motion'})
    assert 'archives' not in cfg and cfg.train_dataloader.dataset.archives == ['a']
    assert cfg.model.stream == 'motion'


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('mine.py', "_base_ = {base!r}\nmodel = dict(backbone={{'layout': 'ntu52'}})\n"),
        ('mine.yaml', '_base_: {base}\nmodel: {{backbone: {{layout: ntu52}}}}\n'),
        ('mine.json', '{{"_base_": "{base}", "model": {{"backbone": {{"layout": "ntu52"}}}}}}'),
    ],
)
def test_a_file_that_states_what_a_shared_field_would_replace_is_refused(name, text, tmp_path):
    path = tmp_path / name
    path.write_text(text.format(base=str(CONFIGS / f'actclr/{PLAIN}.py')))
    with pytest.raises(ConfigError, match=rf'{name}: model\.backbone\.layout.*set layout instead'):
        load_config(path)
    assert load_config(path, {'layout': 'ntu52'}).model.layout == 'ntu52'


def test_a_file_that_states_the_same_in_both_places_can_be_overridden(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = {str(CONFIGS / f'actclr/{PLAIN}.py')!r}\n"
        "layout = 'ntu52'\nmodel = dict(layout='ntu52')\n"
    )
    assert load_config(path, {'layout': 'coco17'}).model.layout == 'coco17'


def test_modules_that_an_override_names_are_imported(tmp_path, monkeypatch):
    (tmp_path / 'my_imported_module.py').write_text('')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r'my_imported_modul.*did you mean my_imported_module\?.*PYTHONPATH'):
        load_config(PLAIN, {'custom_imports.imports': ['my_imported_modul']})
    with pytest.raises(ConfigError, match=r'custom_imports is 3, expected custom_imports\.imports'):
        load_config(PLAIN, {'custom_imports': 3})
    monkeypatch.syspath_prepend(tmp_path)
    load_config(PLAIN, {'custom_imports.imports': ['my_imported_module']})
    assert Path(sys.modules.pop('my_imported_module').__file__).parent == tmp_path


@pytest.mark.parametrize('name', [f'{PLAIN}.yaml', f'actclr/{PLAIN}.yml', f'configs/actclr/{PLAIN}.json'])
def test_a_missing_file_of_another_kind_is_not_the_config_of_that_name(name):
    with pytest.raises(ConfigError, match=rf'{name}.*does not exist.*did you mean {PLAIN}'):
        find_config(name)


def test_a_component_that_a_file_adds_names_places_to_have_them_filled_in(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = {str(CONFIGS / f'actclr/{PLAIN}.py')!r}\nlayout = 'coco17'\n"
        "model = dict(backbone=dict(_delete_=True, type='BiGRU', layout='ntu25'))\n"
        "train_dataloader = dict(dataset=dict(preparation=[dict(type='ResizeFrames', num_frames=8)]))\n"
    )
    cfg = load_config(path)
    assert cfg.model.backbone.layout == 'coco17'
    assert cfg.train_dataloader.dataset.preparation[0].num_frames == cfg.num_frames != 8


def test_an_override_of_a_variable_of_the_file_is_refused_with_its_places():
    with pytest.raises(ConfigError, match=r"'weak' is a variable of .*override (\S+) and") as error:
        load_config(PLAIN, {'weak.0.low': 0.5})
    places = str(error.value).split('override ')[1].removesuffix(' instead').split(' and ')
    assert {place.split('.')[3] for place in places} == {'query', 'key', 'act'}
    changed = load_config(PLAIN, dict.fromkeys(places, 0.5))
    assert [changed.model.data_preprocessor.views[view].joints[0].low for view in ('query', 'key', 'act')] == [0.5] * 3


REPEATED = [
    ("dict(backbone=dict(type='STGCN', layout='coco17'))", 'model.backbone.layout', 'layout'),
    ("dict(type='ActCLR', num_frames=8)", 'model.num_frames', 'num_frames'),
    ("dict(dataset=dict(type='SkeletonDataset', split='xview'))", 'train_dataloader.dataset.split', 'split'),
]


@pytest.mark.parametrize(('text', 'place', 'field'), REPEATED)
def test_a_component_whose_type_a_file_repeats_is_not_new(text, place, field, tmp_path):
    path = tmp_path / 'mine.py'
    base = f"_base_ = {str(CONFIGS / f'actclr/{PLAIN}.py')!r}\n{place.split('.')[0]} = "
    path.write_text(base + text)
    with pytest.raises(ConfigError, match=rf'mine\.py: {place}: .* would be replaced.*; set {field} instead'):
        load_config(path)
    # what replaces it may say the same, and one of another type or without the old is new
    [value] = re.findall(rf'{field}=([^)]*)\)', text)
    path.write_text(f'{base}{text}\n{field} = {value}')
    assert load_config(path)[field] == ast.literal_eval(value)
    path.write_text(base + text.replace("(type='", "(type='Other"))
    assert load_config(path)
    path.write_text(base + text.replace('(type=', '(_delete_=True, type='))
    assert load_config(path)


def test_a_model_that_a_file_adds_to_a_data_set_names_places(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = {str(CONFIGS / '_base_/datasets/utdmhad_xsub.py')!r}\nlayout = 'coco17'\n"
        "model = dict(type='Recognizer', layout='ntu25', backbone=dict(type='STGCN', layout='ntu25'))\n"
    )
    cfg = load_config(path)
    assert cfg.model.layout == cfg.model.backbone.layout == 'coco17'
