"""Damaged and hostile configs: refused in the name of file and field, or good for a first step."""
import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook

from mmactclr.apis import run_training
from mmactclr.apis.argument_kinds import fits, kinds_of
from mmactclr.apis.config_checks import check_config
from mmactclr.errors import ConfigError, MMActCLRError
from mmactclr.registry import HOOKS
from mmactclr.utils import load_config, share_fields
from mmactclr.utils.cli import OptionsAction

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / 'configs' / 'moco' / 'moco_joint_ntu60_xsub.py'
COUNTER = itertools.count()
OUTCOMES: Counter = Counter()


class FirstStep(Exception):
    """The run took its first step."""


@HOOKS.register_module(force=True)
class StopAfterStep(Hook):
    """Ends a run after its first step."""

    priority = 'LOWEST'

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Stop."""
        raise FirstStep


@pytest.fixture(scope='module')
def tiny_file(tiny_archive, tiny_config, tmp_path_factory) -> Path:
    """A config file of a run that ends after one step."""
    cfg = tiny_config(tiny_archive, 'moco_joint_ntu60_xsub')
    cfg.custom_hooks.append(dict(type='StopAfterStep'))
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    cfg.dump(path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where a hostile file would leave its marker."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome_of(cfg: Config, work_dir: Path) -> str:
    """``'step'``, or the refusal."""
    if 'experiment_name' not in cfg or isinstance(cfg.experiment_name, str):
        cfg.experiment_name = f'mutant_{next(COUNTER)}'
    try:
        run_training(cfg, work_dir)
    except FirstStep:
        return 'step'
    except MMActCLRError as error:
        return str(error)
    return 'end'


def put(cfg: Config, where: str, value: Any) -> None:
    """Set a field, and share it where it is one of the shared ones."""
    *steps, last = where.split('.')
    node = cfg._cfg_dict
    for step in steps:
        node = node[int(step) if isinstance(node, list) else step]
    node[int(last) if isinstance(node, list) else last] = value
    if not steps:
        share_fields(cfg)


def test_the_file_itself_takes_a_step(tiny_file, tmp_path):
    assert outcome_of(load_config(tiny_file), tmp_path) == 'step'


LEAVES = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)


@pytest.mark.parametrize('path', LEAVES[::11], ids=lambda path: path.stem)
def test_shipped_configs_are_of_the_kinds_that_their_components_take(path, tiny_archive):
    cfg = load_config(path, {'data_root': str(tiny_archive)})
    if cfg.get('train_cfg') is None:
        # as run_test does
        for name in ('train_dataloader', 'val_dataloader', 'val_cfg', 'val_evaluator'):
            cfg[name] = None
    check_config(cfg)


# field, value, what the message says besides the file
REFUSED = [
    ('model', None, 'model'), ('model', 'MoCo', 'model'), ('model', [], 'model'), ('model', {}, 'model'),
    ('model.type', 'MoCoo', 'MoCo'), ('model.type', 7, 'model.type'), ('model.layout', 'ntu26', 'model'),
    ('model.stream', 'smell', 'model'), ('model.backbone', 'STGCN', 'model.backbone'),
    ('model.backbone', None, 'model.backbone'), ('model.backbone.channels', 'wide', 'model.backbone.channels'),
    ('model.backbone.channels', [4, -4, 8], 'model.backbone'), ('model.backbone.strided_units', [9], 'strided_units'),
    ('model.projector', {'type': 'ProjectionMLP'}, 'projector'),
    ('model.projector.in_channels', '8', 'model.projector.in_channels'), ('model.memory', [16], 'model.memory'),
    ('model.memory.size', -1, 'size'), ('model.memory.size', 1.5, 'size'),
    ('model.loss.temperature', 'warm', 'model.loss.temperature'), ('model.loss', {'temperature': 0.1}, 'model.loss'),
    ('model.data_preprocessor', [], 'model.data_preprocessor'), ('model.data_preprocessor.streams', [], 'streams'),
    ('model.data_preprocessor.views', {}, 'views'), ('model.data_preprocessor.views.key.joints', 'x', 'x'),
    ('model.data_preprocessor.views.key.joints.0', 3, '3'),
    ('model.data_preprocessor.views.key.joints.0.type', 'RandomSheer', 'RandomShear'),
    ('train_dataloader', None, 'train_dataloader'), ('train_dataloader', [1], 'train_dataloader'),
    ('train_dataloader.batch_size', 'six', 'train_dataloader.batch_size'),
    ('train_dataloader.batch_size', -6, 'train_dataloader.batch_size'),
    ('train_dataloader.batch_size', 0, 'train_dataloader.batch_size'),
    ('train_dataloader.num_workers', -1, 'train_dataloader.num_workers'),
    ('train_dataloader.num_workers', 10 ** 9, 'train_dataloader.num_workers'),
    ('train_dataloader.sampler', 'x', 'train_dataloader.sampler'),
    ('train_dataloader.persistent_workers', True, 'train_dataloader'),
    ('train_dataloader.dataset', [], 'train_dataloader.dataset'),
    ('train_dataloader.dataset.type', 'Skeletons', 'Skeletons'),
    ('train_dataloader.dataset.num_frames', 'all', 'num_frames'),
    ('train_dataloader.dataset.subset', 'val', 'train_dataloader'),
    ('train_dataloader.collate_fn', {'type': 'mmactclr.skeleton_colate'}, 'dataloader'),
    ('data_root', None, 'dataset'), ('data_root', 'nowhere', 'nowhere'), ('num_frames', 'x', 'num_frames'),
    ('max_persons', 0, 'max_persons'), ('layout', {}, 'layout'), ('split', 7, 'split'),
    ('train_cfg', None, 'train_cfg'), ('train_cfg', 'long', 'train_cfg'), ('train_cfg.type', 'Loop', 'Loop'),
    ('train_cfg.max_epochs', '2', 'train_cfg.max_epochs'), ('train_cfg.max_epochs', -2, 'train_cfg.max_epochs'),
    ('train_cfg.max_epochs', 2.5, 'train_cfg.max_epochs'), ('train_cfg.val_interval', 0, 'train_cfg.val_interval'),
    ('optim_wrapper', {}, 'optim_wrapper.optimizer'), ('optim_wrapper', None, 'optim_wrapper'),
    ('optim_wrapper.type', 'OptimWraper', 'OptimWrapper'),
    ('optim_wrapper.optimizer', 'SGD', 'optim_wrapper.optimizer'), ('optim_wrapper.optimizer.type', 'SDG', 'SGD'),
    ('optim_wrapper.optimizer.lr', 'fast', 'optim_wrapper.optimizer.lr'),
    ('optim_wrapper.optimizer.lr', -1, 'optim_wrapper.optimizer'),
    ('optim_wrapper.optimizer.weight_decay', True, 'optim_wrapper.optimizer.weight_decay'),
    ('optim_wrapper.optimizer.speed', 1, 'optim_wrapper.optimizer'),
    ('optim_wrapper.accumulative_counts', 0, 'optim_wrapper.accumulative_counts'),
    ('optim_wrapper.clip_grad', 'x', 'optim_wrapper.clip_grad'),
    ('optim_wrapper.clip_grad', {'max_norm': 'x'}, 'optim_wrapper.clip_grad.max_norm'),
    ('param_scheduler', 'x', 'param_scheduler'), ('param_scheduler', [3], 'param_scheduler'),
    ('param_scheduler.type', 'MultiStep', 'MultiStepLR'),
    ('param_scheduler.milestones', 3, 'param_scheduler.milestones'),
    ('param_scheduler.milestones', ['one'], 'param_scheduler.milestones'),
    ('param_scheduler.gamma', None, 'param_scheduler.gamma'), ('param_scheduler.begin', 9, 'param_scheduler'),
    ('custom_hooks', 'x', 'custom_hooks'), ('custom_hooks', {'type': 'MemoryBankHook'}, 'custom_hooks'),
    ('custom_hooks', [], 'custom_hooks'), ('custom_hooks.0', 'x', 'custom_hooks.0'),
    ('custom_hooks.1', {}, 'custom_hooks.1'), ('custom_hooks.2.momentum', 'x', 'custom_hooks.2.momentum'),
    ('custom_hooks.2.momentum', 2.0, 'custom_hooks.2'), ('custom_hooks.1.priority', 'SOMETIMES', 'custom_hooks'),
    ('default_hooks', [], 'default_hooks'), ('default_hooks.logger', 'x', 'default_hooks.logger'),
    ('default_hooks.checkpoint.interval', 'x', 'default_hooks.checkpoint.interval'),
    ('default_hooks.checkpoint.save_best', 3, 'default_hooks.checkpoint'), ('val_evaluator', 'x', 'val_evaluator'),
    ('val_evaluator', None, 'val_evaluator'), ('val_evaluator.0.k', 'x', 'val_evaluator.0.k'),
    ('randomness.seed', 'x', 'randomness.seed'), ('randomness.seed', -1, 'randomness.seed'),
    ('randomness', 7, 'randomness'), ('randomness.sed', 7, 'randomness'), ('env_cfg', 'x', 'env_cfg'),
    ('env_cfg.mp_cfg', 7, 'env_cfg.mp_cfg'), ('log_level', 'LOUD', 'log_level'),
    ('log_processor.window_size', 'x', 'log_processor.window_size'), ('auto_scale_lr', 'x', 'auto_scale_lr'),
    ('load_from', 7, 'load_from'), ('load_from', 'http://x/y.pth', 'address'), ('resume', 'yes', 'resume'),
    ('init_from', 'nowhere.pth', 'nowhere.pth'), ('runner_type', 'Walker', 'Walker'),
    ('default_scope', 7, 'default_scope'),
    ('model.init_cfg', {'type': 'Pretrained', 'checkpoint': 'nowhere.pth'}, 'nowhere.pth')]


@pytest.mark.parametrize('where, value, says', REFUSED, ids=[f'{where}={value}' for where, value, _ in REFUSED])
def test_a_field_of_another_kind_is_named(tiny_file, folder, where, value, says):
    try:
        cfg = load_config(tiny_file)
        put(cfg, where, value)
    except ConfigError as error:
        text = str(error)
    else:
        text = outcome_of(cfg, folder / 'out')
    assert text not in ('step', 'end') and says in text, text
    # a checkpoint is named instead of the config that names it
    assert tiny_file.name in text or '.pth' in text, text
    assert len(text) < 1200
    assert not list(folder.glob('**/epoch_*.pth'))
    OUTCOMES['a field of another kind'] += 1


def test_fields_swapped_at_random_end_in_words_or_in_a_step(tiny_file, folder):
    """The same without an expectation of what is wrong: sections change places, fields vanish."""
    rng = random.Random(11)
    for _ in range(14):
        cfg = load_config(tiny_file)
        names = [name for name in cfg if name not in ('experiment_name', 'custom_hooks')]
        if rng.random() < .5:
            a, b = rng.sample(names, 2)
            cfg._cfg_dict[a], cfg._cfg_dict[b] = cfg._cfg_dict[b], cfg._cfg_dict[a]
        else:
            del cfg._cfg_dict[rng.choice(names)]
        text = outcome_of(cfg, folder / 'out')
        assert text == 'step' or 'tiny.py' in text, text
        OUTCOMES['swapped or missing sections'] += 1


# files

TEXTS = {
    'cut.py': ('model = dict(type="MoCo",', 'SyntaxError'), 'syntax.py': ('model := 3', 'SyntaxError'),
    'binary.py': (b'\xff\xfe\x00\x01' * 9, 'UnicodeDecodeError'), 'division.py': ('x = 1 / 0', 'ZeroDivisionError'),
    'itself.py': ("_base_ = 'itself.py'", '_base_ leads back'), 'there.py': ("_base_ = 'back.py'", '_base_ leads back'),
    'back.py': ("_base_ = ['there.py']", '_base_ leads back'), 'none.py': ("_base_ = 'nowhere.py'", 'does not exist'),
    'number.py': ('_base_ = [3]', '_base_ is 3'), 'empty.py': ('', "'model' is missing"),
    'imports.py': ("custom_imports = dict(imports=['no_such_module'])", 'no_such_module'),
    'list.yaml': ('- 1\n- 2\n', 'holds a list'), 'cut.yaml': ('model: [', 'ParserError'),
    'numbers.yaml': ('1: 2\n', 'key 1'), 'date.yaml': ('seed: 2020-01-01\n', 'field seed'),
    'endless.yaml': ('a: &a [*a]\n', 'hold themselves'),
    'explosive.yaml': ('a0: &a0 [x, x]\n' + ''.join(f'a{i + 1}: &a{i + 1} [{", ".join([f"*a{i}"] * 10)}]\n'
                                                  for i in range(9)), '100000 values'),
    'cut.json': ('{"model": ', 'JSONDecodeError'), 'deep.json': ('[' * 10 ** 5, 'RecursionError'),
    'circle.json': ('{"_base_": "circle.json"}', '_base_ leads back')}
HOSTILE = {
    'object.yaml': 'model: !!python/object/apply:os.system ["touch executed"]\n',
    'name.yaml': 'model: !!python/name:os.system\n', 'new.yml': '!!python/object/new:os.system ["touch executed"]\n',
    'type.yaml': f'_base_: {SHIPPED}\nmodel: {{_delete_: true, type: os.system, command: touch executed}}\n',
    'program.yaml': '_base_: ./evil.py\n', 'module.yaml': 'custom_imports: {imports: [evil]}\n',
    'hook.json': json.dumps({'_base_': str(SHIPPED), 'default_hooks': {'x': {'type': 'subprocess.getoutput',
                                                                            'cmd': 'touch executed'}}}),
    'runner.json': json.dumps({'_base_': str(SHIPPED), 'runner_type': 'os.system'}),
    'scope.json': json.dumps({'_base_': str(SHIPPED), 'default_scope': 'evil'}),
    'nested.yaml': '_base_: ./object.yaml\n', 'by_a_program.py': "_base_ = 'object.yaml'\n",
    'type_by_a_program.py': "_base_ = 'type.yaml'\n"}


@pytest.mark.parametrize('name', TEXTS)
def test_files_that_are_no_configs(folder, name):
    for other in (name, 'there.py', 'back.py'):
        text = TEXTS[other][0]
        (folder / other).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=TEXTS[name][1]) as error:
        run_training(folder / name, folder / 'out')
    assert name in str(error.value)
    OUTCOMES['a file that is none'] += 1


@pytest.mark.parametrize('name', HOSTILE)
def test_data_executes_nothing(folder, name, monkeypatch):
    for other, text in HOSTILE.items():
        (folder / other).write_text(text)
    (folder / 'evil.py').write_text("open('executed', 'w').close()")
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(ConfigError) as error:
        run_training(folder / name, folder / 'out')
    assert name in str(error.value) or name in ('nested.yaml', 'by_a_program.py', 'type_by_a_program.py')
    assert not (folder / 'executed').exists()
    OUTCOMES['hostile YAML or JSON'] += 1


@pytest.mark.parametrize('options', [
    {'model.type': 'os.system', 'model.command': 'touch executed'}, {'model': {'type': 'os.system'}},
    {'train_dataloader.collate_fn.type': 'builtins.eval'},
    {'default_hooks.x': {'type': 'os.mkdir', 'path': 'executed'}},
    {'runner_type': 'os.system'}, {'default_scope': 'os'}, {'custom_hooks.99.x': 1}, {'custom_hooks.x': 1},
    {'data_root.x': 1}, {'': 3}, {'modle.type': 'MoCo'}], ids=str)
def test_hostile_options(folder, tiny_file, options):
    with pytest.raises(ConfigError, match='cfg-options'):
        run_training(tiny_file, folder / 'out', options=options)
    assert not (folder / 'executed').exists()
    OUTCOMES['options'] += 1


@pytest.mark.parametrize('words', [['a=[1,'], ['a=(1,2'], ['a'], ['a=' + '[' * 2000 + ']' * 2000]])
def test_options_that_do_not_parse(words, capsys):
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, default={})
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(['--cfg-options', *words])
    assert stop.value.code == 2 and 'cfg-options' in capsys.readouterr().err


def test_yaml_and_json_build_on_shipped_configs(folder):
    """What data may do: fields, on top of a config of this package."""
    (folder / 'mine.yaml').write_text(f'_base_: {SHIPPED}\nmodel:\n  memory: {{size: 77}}\n')
    (folder / 'mine.json').write_text(json.dumps({'_base_': ['mine.yaml'], 'num_frames': 13}))
    cfg = load_config(folder / 'mine.json', {'model.backbone.type': 'mmactclr.STGCN'})
    assert (cfg.model.memory.size, cfg.train_dataloader.dataset.num_frames) == (77, 13)
    check_config(cfg)
    # mmengine itself reads as it did before
    from mmengine.fileio.handlers import file_handlers
    assert type(file_handlers['yaml']).__module__.startswith('mmengine')


def test_a_config_in_python_is_a_program(folder):
    """By design: naming a Python file executes it."""
    (folder / 'mine.py').write_text("open('executed', 'w').close()\nmodel = dict()")
    load_config(folder / 'mine.py')
    assert (folder / 'executed').exists()


# kinds

def takes(a: int, b: float | None, c: list[int], d: tuple[int, ...], e: dict[str, float], f: str = None,  # noqa: RUF013
          *rest: int, g: 'int | str' = 1, h: Any = None) -> None:
    """Arguments of many kinds."""


@pytest.mark.parametrize('name, good, bad', [
    ('a', [1], ['1', 1., True, None, [1]]), ('b', [1, .5, None], ['x', True, [1.]]),
    ('c', [[1], (1, 2), []], [[.5], 'ab', 3]),
    ('d', [[1], (1, 2)], [['x'], {}]), ('e', [{}, {'x': 1}], [{'x': 'y'}, [], 'x']), ('f', ['x', None], [3]),
    ('g', [1, 'x'], [None, .5, []]), ('h', [1, 'x', None, [], {}], [])])
def test_kinds_of_arguments(name, good, bad):
    kind = kinds_of(takes)[name]
    assert all(fits(value, kind) for value in good) and not any(fits(value, kind) for value in bad)


def test_at_least_sixty():
    """The numbers of docs/untrusted_files.md."""
    print()
    for name, count in OUTCOMES.items():
        print(f'| {name} | {count} |')
    print('total', sum(OUTCOMES.values()))
    if OUTCOMES['options'] and OUTCOMES['a field of another kind']:
        assert sum(OUTCOMES.values()) >= 60
