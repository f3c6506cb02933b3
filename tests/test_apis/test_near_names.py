"""What is mistyped in a config or a command is answered in one line with the nearest names and what to import."""
import fnmatch
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmactclr.apis import init_model, list_models
from mmactclr.components import find_definitions, unknown_argument
from mmactclr.errors import ConfigError, near_patterns
from mmactclr.models import STGCN
from mmactclr.registry import CONVERTERS, DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
from mmactclr.utils import load_config
from mmactclr.utils.cli import command_line

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / 'configs/moco/moco_joint_synthetic_xsub.py'
MINE = '''
from mmactclr.registry import MODELS
@MODELS.register_module()
class NetOfMine:
    pass
'''
# text of a config, and what the line says
CONFIGS = {
    'type': ("model = dict(backbone=dict(type='STGNC'))", ['model.backbone', "'STGNC'", 'STGCN', 'custom_imports']),
    'unimported': ("model = dict(backbone=dict(_delete_=True, type='NetOfMine'))",
                   ['model.backbone', "'NetOfMine'", "custom_imports=dict(imports=['nets_of_mine'])"]),
    'argument_below': ("model = dict(backbone=dict(graph=dict(stratgy='spatial')))",
                       ['model.backbone', "'stratgy'; did you mean strategy"]),
    'no_module': ("custom_imports = dict(imports=['nets_of_mne'])", ['nets_of_mne', 'did you mean nets_of_mine']),
    'argument': ('model = dict(backbone=dict(chanels=[4, 8]))',
                 ['model.backbone', "STGCN has no argument 'chanels'", 'did you mean channels', 'strided_units']),
    'argument_of_a_hook': ("custom_hooks = [dict(type='MomentumUpdateHook', momentm=0.9)]",
                           ['custom_hooks.0', 'did you mean momentum']),
    'hook': ("custom_hooks = [dict(type='MemoryBankHok')]", ['custom_hooks.0', 'MemoryBankHook']),
    'transform': ("train_dataloader = dict(dataset=dict(preparation=[dict(type='ResizFrames', num_frames=8)]))",
                  ['train_dataloader.dataset.preparation.0', 'ResizeFrames']),
    'metric': ("train_dataloader = dict(batch_size=6)\nval_evaluator = [dict(type='KNNEvaluater')]",
               ['val_evaluator.0', 'KNNEvaluator']),
    'optimizer': ("optim_wrapper = dict(optimizer=dict(type='SDG'))", ['SDG', 'close to SGD'])}
BUILT_FROM_THE_MODEL = ('type', 'unimported', 'no_module', 'argument', 'argument_below')


@pytest.fixture
def folder(tmp_path, write_tiny_archive, monkeypatch) -> Path:
    """A folder with a file that registers a network and nobody imports, and a small archive."""
    write_tiny_archive(tmp_path / 'data')
    (tmp_path / 'nets_of_mine.py').write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str) -> Path:
    path = folder / f'{name}.py'
    path.write_text(f"_base_ = '{BASE}'\ndata_root = 'data'\nlayout = 'kinect20_utdmhad'\n{CONFIGS[name][0]}\n")
    return path


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, '-m', 'mmactclr', *words], cwd=folder, text=True, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))


@pytest.mark.parametrize('name', CONFIGS)
def test_on_the_command_line(folder, name):
    done = command(folder, 'train', str(write(folder, name)), '--work-dir', 'out')
    said = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and 'Traceback' not in done.stderr + done.stdout
    assert said.startswith(f'error: {folder / name}.py: ')
    assert all(word in said for word in CONFIGS[name][1]), said


@pytest.mark.parametrize('name', BUILT_FROM_THE_MODEL)
def test_from_python(folder, name):
    with pytest.raises(ConfigError) as error:
        init_model(write(folder, name))
    assert all(word in str(error.value) for word in CONFIGS[name][1]), error.value


@pytest.mark.parametrize(('registry', 'name', 'near'), [
    (MODELS, 'STGNC', 'STGCN'), (MODELS, 'InfoNCELos', 'InfoNCELoss'), (HOOKS, 'MemoryBankHok', 'MemoryBankHook'),
    (TRANSFORMS, 'RandomSheer', 'RandomShear'), (METRICS, 'KNNEvaluatr', 'KNNEvaluator'),
    (MODELS, 'bigru', 'BiGRU'), (MODELS, 'stgcn', 'STGCN'), (MODELS, 'ctr_gcn', 'CTRGCN'), (MODELS, 'actclr', 'ActCLR'),
    (MODELS, 'moco', 'MoCo'), (METRICS, 'KNN', 'KNNEvaluator'),
    (DATASETS, 'SkeletonDatset', 'SkeletonDataset'), (CONVERTERS, 'ntuu', 'ntu')], ids=lambda x: getattr(x, 'name', x))
def test_building_from_a_registry(registry, name, near):
    with pytest.raises(ConfigError, match=rf'{name}.*close to.*\b{near}\b'):
        registry.build(dict(type=name))


def test_an_argument_that_a_component_does_not_take():
    with pytest.raises(ConfigError, match="STGCN has no argument 'chanels'; did you mean channels.*temporal_kernel"):
        MODELS.build(dict(type='STGCN', layout='ntu25', chanels=[4]))


@pytest.mark.parametrize('config, says', [
    (dict(typ='ActCLR'), "described by typ and has no type; 'typ' should be called type"),
    (dict(), "described by nothing and has no type; add type='NAME'"),
    (dict(type='STGCN'), "STGCN needs 'layout', which is not given; it takes layout, in_channels"),
    (dict(type='STGCN', layout='ntu25', graph=dict(stratgy='spatial')), "'stratgy'; did you mean strategy"),
    (dict(type='STGCN', layout='ntu25', graph=dict(strategy='spatal')), "'spatal'; did you mean spatial"),
    (dict(type='STGCN', layout='ntu52'), "'ntu52' is not known; did you mean ntu25"),
    (dict(type='CTRGCN', layout='ntu25', channels=64), 'CTRGCN: channels is 64, expected the width of every unit'),
    (dict(type='CTRGCN', layout='ntu25', channels='64'), "CTRGCN: channels is '64'"),
    (dict(type='AGCN', layout='ntu25', in_channels=0), 'AGCN: in_channels is 0, expected the coordinates'),
    (dict(type='AGCN', layout='ntu25', strided_units=2), 'AGCN: strided_units is 2, expected a list'),
    (dict(type='SkeletonTransformer', layout='ntu25', channels=64), 'SkeletonTransformer: channels is 64'),
    (dict(type='SkeletonTransformer', layout='ntu25', channels=[20]),
     r'channels has \[20\], expected multiples of head_channels, which is 16'),
    (dict(type='BiGRU', layout='ntu25', channels=[7]), r'channels has \[7\], expected even numbers')],
    ids=lambda value: str(value)[:60])
def test_what_a_description_lacks_or_gets_wrong(config, says):
    with pytest.raises(ConfigError, match=says) as error:
        MODELS.build(config)
    assert '\n' not in str(error.value)


def test_what_a_method_makes_itself_names_its_arguments():
    cfg = load_config('moco_joint_synthetic_xsub', {'model.memory.siz': 8})
    with pytest.raises(ConfigError, match="MemoryBank has no argument 'siz'; did you mean size"):
        MODELS.build(cfg.model)


def test_what_a_component_itself_raises_stays():
    """Only what is wrong with names is said in other words."""
    class Broken:
        def __init__(self) -> None:
            {}['key of its own']

    for raises, kind in ((Broken, KeyError), (lambda: dict(**{'a': 1}) + 1, TypeError)):
        MODELS.register_module('BrokenOfTheTest', module=raises, force=True)
        with pytest.raises(kind):
            MODELS.build(dict(type='BrokenOfTheTest'))
    MODELS.module_dict.pop('BrokenOfTheTest')


def test_a_name_without_anything_close():
    with pytest.raises(ConfigError) as error:
        MODELS.build(dict(type='Xylophone'))
    assert 'close to' not in str(error.value) and 'custom_imports' in str(error.value)


def test_arguments_of_base_classes_count_where_they_are_handed_on():
    class Wide(STGCN):
        def __init__(self, width: int = 1, **kwargs) -> None:
            super().__init__(**kwargs)
    said = unknown_argument(Wide, 'chanels')
    assert 'did you mean channels' in said and 'width' in said and 'temporal_kernel' in said


def test_definitions_are_found_in_packages_and_not_executed(folder):
    (folder / 'package').mkdir()
    (folder / 'package' / '__init__.py').touch()
    (folder / 'package' / 'inner.py').write_text("open('executed', 'w')\nclass Inner:\n    pass\n")
    assert next(find_definitions('Inner', [folder])) == ('package.inner', folder)
    assert not (folder / 'executed').exists() and not list(find_definitions('Inne', [folder]))


@pytest.mark.parametrize(('words', 'code', 'says'), [
    (['train', 'actclr_joint_synthetc_xsub'], 1, 'actclr_joint_synthetic_xsub'),
    (['test', 'moco_joint_synthetic_xsub', 'actclr_joint_syntetic'], 1, 'actclr_joint_synthetic'),
    (['infer', 'moco_joint_syntetic', 'x.csv'], 1, 'moco_joint_synthetic'),
    (['convert', 'ntuu', 'src', 'dst'], 2, "unknown format 'ntuu'; did you mean ntu?"),
    (['export', 'pyskll', 'src', 'dst'], 2, 'did you mean pyskl?'),
    (['list', 'configs', 'zzz_4s*'], 1, 'mmactclr list configs shows all'),
    (['list', 'configs', 'actclr_joint_sinthetic'], 1, 'did you mean actclr_joint_synthetic_xsub'),
    (['list', 'configs', 'actclr_jont*'], 1, 'did you mean actclr_joint*?'),
    (['list', 'configs', 'actcrl*'], 1, "none of the configs is like 'actcrl*'; did you mean actclr*?"),
    (['list', 'models', 'moco_joint_syntetic'], 1, 'did you mean moco_joint_synthetic'),
    (['list', 'modles'], 2, 'did you mean models or methods?'), (['archive', 'subst'], 2, 'did you mean subset'),
    (['benchmark', 'encoderr'], 2, 'did you mean encoder?'),
    (['train', 'actclr_joint_synthetic_xsub', '--workdir', 'w'], 2, '--workdir: did you mean --work-dir?'),
    (['convert', 'synthetic', '-', 'out', '--overwritten'], 2, '--overwritten: did you mean --overwrite?'),
    (['train', 'x', '--zzz'], 2, 'mmactclr train: error: unrecognized arguments: --zzz'),
    (['tarin', 'x'], 2, 'did you mean train?')], ids=lambda x: str(x)[:40])
def test_names_on_the_command_line(tmp_path, words, code, says):
    done = command(tmp_path, *words)
    assert done.returncode == code and 'Traceback' not in done.stderr, done.stderr
    assert says in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.parametrize(('pattern', 'near'), [
    ('*utdmahd*', ['*utdmhad*']), ('ActCLR*', ['actclr*']), ('moco_jiont_*_xview', ['moco_joint_*_xview']),
    ('motion', ['*motion*']), ('actclr_bone_utdmahd_xsub', ['actclr_bone_utdmhad_xsub']), ('actclr_b', [
        'actclr_bone_utdmhad_xsub']), ('zzz*', []), ('zzz', []), ('ntu[67]*', [])])
def test_patterns_that_match_nothing_are_put_right(pattern, near):
    known = ['actclr_bone_utdmhad_xsub', 'moco_joint_ntu60_xview', 'moco_motion_ntu60_xsub']
    assert not fnmatch.filter(known, pattern)
    assert near_patterns(pattern, known) == near
    assert all(fnmatch.filter(known, each) for each in near)


def test_the_list_of_models_is_a_filter():
    assert list_models('actcrl*') == list_models('actcrl*', pretrained=True) == list_models('actclr') == []
    assert list_models('actclr_joint_synthetic', pretrained=True) == ['actclr_joint_synthetic']


@pytest.mark.parametrize(('words', 'usage'), [
    (['train', '--help'], 'usage: mmactclr train '), (['benchmark', 'encoder', '--help'], 'usage: mmactclr benchmark '),
    (['dist-train', '--help'], 'usage: mmactclr dist-train CONFIG'),
    (['slurm-test', '--help'], 'usage: mmactclr slurm-test PARTITION')], ids=lambda words: str(words[0]))
def test_usage_names_the_command_that_was_typed(tmp_path, words, usage):
    done = command(tmp_path, *words)
    assert done.returncode == 0 and done.stdout.startswith(usage), done.stdout[:200]


def test_a_shell_script_is_named_by_its_file(tmp_path):
    said = subprocess.run(['bash', ROOT / 'tools' / 'dist_train.sh', '--help'], text=True, capture_output=True).stdout
    assert said.startswith('usage: bash tools/dist_train.sh CONFIG')


@pytest.mark.parametrize(('argv', 'words'), [
    (['mmactclr train', 'x', '--work-dir', 'a b'], ['mmactclr', 'train', 'x', '--work-dir', 'a b']),
    (['my tools/train.py', 'x'], [sys.executable, 'my tools/train.py', 'x'])], ids=['command', 'script'])
def test_the_command_that_a_run_records(monkeypatch, argv, words):
    monkeypatch.setattr(sys, 'argv', argv)
    assert command_line() == words


def test_an_unknown_config_names_weights_as_well():
    with pytest.raises(ConfigError, match='Published weights of a similar name: .*actclr_joint_synthetic'):
        load_config('actclr_joint_synthetik')
