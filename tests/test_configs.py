"""Every config is read, and every model and optimiser among them built and stepped at the shapes that it asks for."""
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

import mmactclr.engine  # noqa: F401
from mmactclr.engine.checkpoints import adopt_card, adopt_encoder, card_of_config, takes_encoder
from mmactclr.errors import ConfigError
from mmactclr.registry import DATASETS, FUNCTIONS, HOOKS, LOOPS, METRICS, MODELS, PARAM_SCHEDULERS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)
BENCHMARKS = [leaf for leaf in LEAVES if leaf.startswith('benchmarks/')]
TRAINING = [leaf for leaf in LEAVES if leaf not in BENCHMARKS]
EVALUATORS = {
    'transfer': {'KNNEvaluator', 'LinearEvaluator', 'LogisticEvaluator'},
    'predict': {'ClassificationEvaluator'},
    'knn': {'KNNEvaluator'},
    'retrieval': {'RetrievalEvaluator'},
    'fewshot': {'FewShotEvaluator'},
    'linear': {'ClassificationEvaluator'},
    'finetune': {'ClassificationEvaluator'},
    'semi': {'ClassificationEvaluator'},
    'segmentation': {'SegmentationEvaluator'},
}
# they train a classifier on the encoder of a checkpoint
SUPERVISED = [leaf for leaf in BENCHMARKS if leaf.split('/')[1] in ('linear', 'finetune', 'semi', 'segmentation')]
# they evaluate and have no model of their own
EVALUATING = [leaf for leaf in BENCHMARKS if leaf not in SUPERVISED]
METHODS = {'actclr': 'ActCLR', 'actclr_release': 'ActCLR', 'aimclr': 'AimCLR', 'cmd': 'MoCo', 'cmd_views': 'MoCo',
           'crosclr': 'MoCo', 'moco': 'MoCo', 'skelemixclr': 'SkeleMixCLR', 'skelemixclr_plus': 'SkeleMixCLR',
           'skeletonclr': 'MoCo'}
# those of several streams with terms between them
BETWEEN = {'cmd': 'CMD', 'cmd_views': 'CMD', 'crosclr': 'CrosSCLR'}
STREAMS = {'2s': ['joint', 'motion'], '3s': ['joint', 'motion', 'bone']}
# losses of methods that have the same ones in every epoch, or at the start and at the end
LOSSES = {'moco': [{'loss_nce'}] * 2, 'skeletonclr': [{'loss_nce'}] * 2, 'cmd': [{'loss_cmd'}] * 2,
          'cmd_views': [{'loss_cmd'}] * 2, 'crosclr': [{'loss_nce'}, {'loss_cross'}],
          'aimclr': [{'loss_nce', 'loss_d3m'}] * 2, 'skelemixclr': [{'loss_nce', 'loss_mix'}] * 2,
          'skelemixclr_plus': [{'loss_nce', 'loss_mix_1', 'loss_mix_2', 'loss_mix_3'}] * 2}
NAMED = [leaf for leaf in LEAVES if leaf.split('/')[0] in METHODS]
CARD = 'actclr/actclr_3s_ntu60_xsub.py'
ANY_ARCHIVE = 'actclr/actclr_joint_custom.py'
# several archives that together are the training set, and the one that is evaluated
WATCHED = {'pool': 'utdmhad', 'shards': 'ntu60'}
# what was stepped in this run, by what a step depends on
STEPPED: set[str] = set()
SECTIONS = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'test_cfg', 'model')


@pytest.fixture(autouse=True)
def archive_of_the_user(tmp_path_factory, monkeypatch, write_tiny_archive):
    """The config for any archive takes the joints of the one it finds at data/mine."""
    folder = tmp_path_factory.mktemp('mine')
    write_tiny_archive(folder / 'data' / 'mine')
    monkeypatch.chdir(folder)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny batches are fastest on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def places(node: Any, name: str, where: str = '') -> dict[str, Any]:
    """All entries of that name below a node, by dotted path."""
    found = {}
    items = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, (list, tuple))
        else ()
    )
    for key, value in items:
        path = f'{where}.{key}' if where else str(key)
        found |= {path: value} if key == name else places(value, name, path)
    return found


def random_batch(cfg: Config, n: int = 2) -> dict[str, torch.Tensor]:
    """What the dataset of a config would give; the second sequence lacks its second person."""
    shape = (n, cfg.max_persons, cfg.num_frames, get_layout(cfg.layout).num_joints, 3)
    mask = torch.ones(shape[:2], dtype=torch.bool)
    mask[1, 1:] = False
    inputs = torch.randn(shape) * mask[:, :, None, None, None]
    return dict(
        inputs=inputs,
        mask=mask,
        index=torch.arange(n),
        label=torch.zeros(n, dtype=torch.long),
        role=torch.zeros(n, dtype=torch.long),
        archive=torch.arange(n),
    )


def test_card_config_is_there():
    assert CARD in LEAVES and len(NAMED) > 20


@pytest.mark.parametrize('leaf', LEAVES)
def test_leaf_is_short(leaf):
    assert len((CONFIGS / leaf).read_text().splitlines()) <= 40


@pytest.mark.parametrize('leaf', NAMED)
def test_name_says_what_is_in_it(leaf):
    name = re.fullmatch(
        r'(\w+)/(?P<method>[a-z-]+)_(?P<stream>joint|motion|bone|2s|3s)_'
        r'(?P<data>[a-z0-9]+)_(?P<split>[a-z]+)\.py',
        # the one config whose data and split are the user's
        'actclr/actclr_joint_mine_xsub.py' if leaf == ANY_ARCHIVE else leaf,
    )
    assert name and name[1] == name['method'].replace('-', '_')
    cfg = load_config(CONFIGS / leaf)
    single = cfg.model.branch if name['stream'] in STREAMS else cfg.model
    assert single.type == METHODS[name[1]]
    if name['stream'] in STREAMS:
        assert cfg.model.type == BETWEEN.get(name[1], 'MultiStream')
    streams = STREAMS.get(name['stream'], [name['stream']])
    assert list(cfg.model.data_preprocessor.streams) == streams
    assert cfg.model.get('streams', [cfg.model.get('stream')]) == streams
    assert cfg.split == name['split']
    assert re.sub('[^a-z0-9]', '', cfg.data_root) == 'data' + WATCHED.get(name['data'], name['data'])


@pytest.mark.parametrize('leaf', EVALUATING)
def test_an_evaluation_takes_the_model_of_a_checkpoint(leaf):
    cfg = load_config(CONFIGS / leaf)
    trained = load_config('actclr_joint_ntu60_xsub', {'num_frames': 17, 'layout': 'smpl24'})
    card = card_of_config(trained)
    adopt_card(cfg, card, 'a checkpoint')
    dataset = cfg.test_dataloader.dataset
    assert dataset.remap and (dataset.num_frames, dataset.max_persons, get_layout(dataset.layout).name) == (
        17, 2, 'smpl24')
    assert DATASETS.get(dataset.type) and LOOPS.get(cfg.test_cfg.type)
    assert EVALUATORS[leaf.split('/')[1]] == {metric.type for metric in cfg.test_evaluator}
    assert all(METRICS.get(metric.type) for metric in cfg.test_evaluator)
    model = MODELS.build(cfg.model)
    assert model.extract(*(random_batch(cfg)[name] for name in ('inputs', 'mask')))['backbone'].shape == (2, 256)


@pytest.mark.parametrize('leaf', SUPERVISED)
def test_a_protocol_takes_the_encoder_of_a_checkpoint(leaf):
    cfg = load_config(CONFIGS / leaf, {'num_classes': 7})
    assert takes_encoder(cfg)
    trained = load_config('actclr_3s_ntu60_xsub', {'num_frames': 17, 'layout': 'smpl24'})
    adopt_encoder(cfg, card_of_config(trained), 'a checkpoint')
    protocol = leaf.split('/')[1]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        assert dataset.remap and (dataset.num_frames, dataset.max_persons, get_layout(dataset.layout).name) == (
            17, 2, 'smpl24')
        assert DATASETS.get(dataset.type) and dataset.data_root == cfg.data_root and dataset.split == cfg.split
    subset = cfg.train_dataloader.dataset.get('label_subset')
    shares = {'semi1': .01, 'semi5': .05, 'semi10': .1}
    assert (subset or {}).get('fraction') == shares.get(Path(leaf).stem.split('_')[0])
    assert EVALUATORS[protocol] == {metric.type for metric in [*cfg.val_evaluator, *cfg.test_evaluator]}
    hooks = {hook.type for hook in cfg.custom_hooks}
    assert 'EncoderInitHook' in hooks and ('FeatureCacheHook' in hooks) == (protocol in ('linear', 'segmentation'))
    model = MODELS.build(cfg.model)
    assert list(model.branches()) == ['joint', 'motion', 'bone']
    for branch in model.branches().values():
        assert branch.frozen == (protocol in ('linear', 'segmentation')) and branch.head.num_classes == 7
    build_optim_wrapper(model, cfg.optim_wrapper)


@pytest.mark.parametrize('leaf', TRAINING)
def test_everything_it_names_exists(leaf):
    cfg = load_config(CONFIGS / leaf)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert DATASETS.get(loader.dataset.type) and FUNCTIONS.get(loader.collate_fn.type)
    for hook in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        assert HOOKS.get(hook.type), hook.type
    for metric in [*cfg.val_evaluator, *cfg.test_evaluator]:
        assert METRICS.get(metric.type), metric.type
    assert LOOPS.get(cfg.train_cfg.type) and LOOPS.get(cfg.test_cfg.type)
    schedulers = (
        cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    )
    assert all(PARAM_SCHEDULERS.get(scheduler.type) for scheduler in schedulers)


@pytest.mark.parametrize('leaf', TRAINING)
def test_both_stages_take_a_step(leaf):
    cfg = load_config(CONFIGS / leaf)
    asked = {name: cfg[name] for name in ('model', 'optim_wrapper', 'train_cfg', 'custom_hooks')}
    asked = json.dumps(Config(asked).to_dict(), sort_keys=True, default=str)
    # a step on random joints does not see the data: of configs that differ in nothing else one is enough
    if asked in STEPPED:
        return
    STEPPED.add(asked)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    runner = SimpleNamespace(
        model=model, optim_wrapper=build_optim_wrapper(model, cfg.optim_wrapper)
    )
    hooks = [
        HOOKS.build(hook)
        for hook in cfg.custom_hooks
        if hook.type in ('MemoryBankHook', 'MomentumUpdateHook')
    ]
    branches = model.branches()
    for branch in branches.values():
        branch.memory.enqueue(
            torch.nn.functional.normalize(torch.randn(8, branch.memory.dim), dim=1),
            torch.arange(8) % 2,
        )
        if hasattr(branch, 'anchor'):
            branch.set_anchor(torch.randn_like(branch.anchor))
    start = {name: value.detach().clone() for name, value in model.named_parameters()}

    losses = []
    for iteration, epoch in enumerate((0, cfg.train_cfg.max_epochs - 1)):
        model.set_progress(0, epoch, iteration, 0)
        logs = model.train_step(random_batch(cfg), runner.optim_wrapper)
        losses.append({name.split('.')[-1] for name in logs if 'loss_' in name})
        assert all(torch.isfinite(value) for value in logs.values()), logs
        for hook in hooks:
            hook.after_train_iter(runner, iteration)

    first = next(iter(branches.values()))
    if not hasattr(first, 'mining_loss'):
        stages = LOSSES[leaf.split('/')[0]]
    elif len(first.terms) == 1:
        # without epochs of stage two it stays in stage one
        stages = [{'loss_nce'}, {'loss_mining' if first.stage_epochs[1] else 'loss_nce'}]
    else:
        mining = {'loss_mining_normal', 'loss_mining_styled', 'loss_mining_mix'}
        # without a stage one of its own it starts from an encoder
        stages = [{'loss_nce'} if first.stage_epochs[0] else mining, mining]
    assert losses == stages
    for branch in branches.values():
        assert len(branch.memory.valid()) == 8 + 2 * 2
    for part in ('backbone.', 'projector.', 'backbone_k.', 'projector_k.'):
        moved = [
            name
            for name, value in model.named_parameters()
            if part in name and not torch.equal(value, start[name])
        ]
        assert moved, f'{part} did not learn'


@pytest.mark.parametrize('leaf', LEAVES)
def test_shared_fields_reach_every_place(leaf):
    values = dict(
        data_root='somewhere/else', layout='coco17', split='xother', num_frames=17, max_persons=3
    )
    # protocols count the classes of an archive, which is not there
    classes = dict(num_classes=7) if leaf in SUPERVISED else {}
    plain, changed = load_config(CONFIGS / leaf, classes), load_config(CONFIGS / leaf, {**values, **classes})
    for name, value in values.items():
        before = {
            path: found
            for section in SECTIONS
            for path, found in places(plain[section], name, section).items()
        }
        after = {
            path: found
            for section in SECTIONS
            for path, found in places(changed[section], name, section).items()
        }
        assert before and all(found == plain[name] for found in before.values()), name
        assert all(found == value for found in after.values()), name
        assert after.keys() == before.keys(), name
        several = ['train_dataloader'] if 'archives' in plain and name in ('data_root', 'split') else []
        for loader in {'train_dataloader', 'val_dataloader', 'test_dataloader'}.difference(several):
            assert after[f'{loader}.dataset.{name}'] == value


def test_a_layout_that_is_spelled_out_reaches_the_model(tmp_path):
    joints = ['neck', 'left_shoulder', 'right_shoulder', 'left_hip', 'right_hip']
    edges = [[0, 1], [0, 2], [1, 3], [2, 4]]
    path = tmp_path / 'mine.py'
    path.write_text(
        f'_base_ = {str(CONFIGS / "moco/moco_joint_synthetic_xsub.py")!r}\nmax_persons = 1\n'
        f"layout = dict(_delete_=True, name='five', joints={joints}, edges={edges})\n"
    )
    cfg = load_config(path)
    model = MODELS.build(cfg.model)
    assert get_layout(cfg.train_dataloader.dataset.layout).joints == tuple(joints)
    features = model.extract(random_batch(cfg)['inputs'], torch.ones(2, 1, dtype=torch.bool))
    assert features['backbone'].shape == (2, model.backbone.out_channels)


@pytest.mark.parametrize(
    'name', [CARD, f'configs/{CARD}', 'actclr_3s_ntu60_xsub', 'actclr_3s_ntu60_xsub.py']
)
def test_found_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(load_config(name).filename) == CONFIGS / CARD


def test_unknown_config_lists_similar_names():
    with pytest.raises(ConfigError, match=r'actclr_joint_ntu61_xsub.*actclr_joint_ntu60_xsub'):
        load_config('configs/actclr/actclr_joint_ntu61_xsub.py')


@pytest.mark.parametrize('text', ['model = dict(', "_base_ = './missing.py'", 'x = unknown_name'])
def test_damaged_config_is_named(text, tmp_path):
    path = tmp_path / 'broken.py'
    path.write_text(text + '\n')
    with pytest.raises(ConfigError, match='broken.py'):
        load_config(path)


def test_option_that_does_not_fit_is_named():
    with pytest.raises(ConfigError, match='cfg-options'):
        load_config(CARD, {'custom_hooks.99.momentum': 0.5})
