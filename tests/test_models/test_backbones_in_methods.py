"""Every registered encoder in every pretraining method, and what of an encoder does not fit."""
import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import build_optim_wrapper
from torch import nn

import mmactclr.engine  # noqa: F401
from mmactclr.engine.checkpoints import adopt_card, adopt_encoder, card_of_config
from mmactclr.errors import ConfigError
from mmactclr.models import ActionletHead, BaseAlgorithm, Recognizer
from mmactclr.models.algorithms.actclr import find_actionlet
from mmactclr.models.backbones import check_feature_map, feature_width
from mmactclr.registry import HOOKS, MODELS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config
from tests.test_models.any_backbone import BACKBONES, EXAMPLE, LAYOUT, ROOT, stir, tiny

FRAMES = 16
# a config of each method that pretrains, and its epochs in which losses differ
METHODS = {'MoCo': ('moco_joint_utdmhad_xsub', (0,)), 'ActCLR': ('actclr_joint_utdmhad_xsub', (0, 299)),
           'AimCLR': ('aimclr_joint_utdmhad_xsub', (299,)), 'SkeleMixCLR': ('skelemixclr_joint_utdmhad_xsub', (0,)),
           'MultiStream': ('actclr_3s_utdmhad_xsub', (0, 299)), 'CrosSCLR': ('crosclr_2s_utdmhad_xsub', (0, 299)),
           'CMD': ('cmd_3s_utdmhad_xsub', (0,))}
# abstract, or no pretraining
OTHERS = {'BaseAlgorithm', 'SingleStream', 'AlignedStreams', 'Recognizer', 'Segmentor', 'JointRecognizer',
          'FeatureBaseline'}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny batches are fastest on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def config(name, backbone):
    """The config with another encoder, in the one place that names it, and one half of the memory."""
    cfg = load_config(name, {'num_frames': FRAMES, 'max_persons': 2})
    (cfg.model.branch if 'branch' in cfg.model else cfg.model).backbone = backbone
    return cfg


def batch(n=4):
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    x = torch.randn(n, 2, 1, 20, 3, generator=generator) + 0.1 * torch.randn(
        n, 2, FRAMES, 20, 3, generator=generator).cumsum(2)
    return dict(inputs=x * mask[:, :, None, None, None], mask=mask, index=torch.arange(n))


def test_every_method_of_the_package_is_tried():
    kinds = {name for name, kind in MODELS.module_dict.items() if isinstance(kind, type)
             and issubclass(kind, BaseAlgorithm) and kind.__module__.startswith('mmactclr.')}
    assert kinds - OTHERS == set(METHODS)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('name', BACKBONES)
def test_a_method_takes_steps(name, method):
    leaf, epochs = METHODS[method]
    cfg = config(leaf, tiny(name))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    assert type(model).__name__ == method
    model.init_weights()
    branches = model.branches()
    for branch in branches.values():
        width = feature_width(branch.backbone, branch.layout, 'test')
        assert branch.projector.in_channels == branch.projector.layers[0].out_features == width
        branch.memory.enqueue(F.normalize(torch.randn(8, branch.memory.dim), dim=1))
        if hasattr(branch, 'anchor'):
            branch.set_anchor(torch.randn_like(branch.anchor))
    hooks = [HOOKS.build(hook) for hook in cfg.custom_hooks if hook.type in ('MemoryBankHook', 'MomentumUpdateHook')]
    runner = SimpleNamespace(model=model, optim_wrapper=build_optim_wrapper(model, cfg.optim_wrapper))
    start = {key: value.detach().clone() for key, value in model.named_parameters()}
    for iteration, epoch in enumerate(epochs):
        model.set_progress(0, epoch, iteration, 0)
        logs = model.train_step(batch(), runner.optim_wrapper)
        assert all(torch.isfinite(value) for value in logs.values()), logs
        for hook in hooks:
            hook.after_train_iter(runner, iteration)
    assert all(torch.isfinite(value).all() for value in model.parameters())
    for stream in branches:
        prefix = f'stream_branches.{stream}.' if 'branch' in cfg.model else ''
        for part in ('backbone.', 'backbone_k.', 'projector.'):
            assert any(key.startswith(prefix + part) and not torch.equal(value, start[key])
                       for key, value in model.named_parameters()), prefix + part


@pytest.mark.parametrize('protocol', ['linear', 'finetune', 'segmentation'])
@pytest.mark.parametrize('name', BACKBONES)
def test_a_protocol_takes_the_encoder_of_a_checkpoint(name, protocol):
    cfg = load_config(f'{protocol}_utdmhad_xsub', {'num_classes': 7})
    adopt_encoder(cfg, card_of_config(config('actclr_joint_utdmhad_xsub', tiny(name))), 'a checkpoint')
    model = MODELS.build(cfg.model)
    width = feature_width(model.backbone, model.layout, 'test')
    assert type(model.backbone).__name__ == name and model.head.in_channels == width
    found = model.extract(*(batch()[key] for key in ('inputs', 'mask')))
    score = found['frame_score' if protocol == 'segmentation' else 'score']
    assert found['backbone'].shape[:2] == (4, width) and score.shape[-1] == 7


@pytest.mark.parametrize('name', BACKBONES)
def test_an_evaluation_takes_the_model_of_a_checkpoint(name):
    for leaf in ('knn_utdmhad_xsub', 'checkpoint_utdmhad_xsub'):
        cfg = load_config(leaf)
        adopt_card(cfg, card_of_config(config('moco_joint_utdmhad_xsub', tiny(name))), 'a checkpoint')
        model = MODELS.build(cfg.model)
        found = model.extract(*(batch()[key] for key in ('inputs', 'mask')))
        assert found['backbone'].shape == (4, model.projector.in_channels)


# the one that is no chain of products and convolutions; the others take ten seconds each
@pytest.mark.parametrize('name', ['BiGRU'])
def test_a_compiled_encoder_gives_the_same_under_the_same_names(name):
    model = MODELS.build(config('moco_joint_utdmhad_xsub', tiny(name)).model)
    before, plain = list(model.state_dict()), copy.deepcopy(model.backbone)
    runner = SimpleNamespace(model=model, logger=SimpleNamespace(info=lambda text: None))
    HOOKS.build(dict(type='CompileEncoderHook', backend='eager')).before_train(runner)
    assert list(model.state_dict()) == before
    for n in (2, 5):
        x = torch.randn(n, 3, FRAMES, 20)
        torch.testing.assert_close(model.backbone(x), plain(x), atol=1e-4, rtol=1e-4)


@MODELS.register_module(force=True)
class Odd(nn.Module):
    """An encoder with one defect at a time."""

    def __init__(self, width=6, joints=None, stride=2, out_channels=None, fails=False, ndim=4,
                 floors=False):
        super().__init__()
        self.layer = nn.Conv2d(3, width, 1)
        self.joints, self.fails, self.ndim = joints, fails, ndim
        self.floors = floors
        if stride is not None:
            self.temporal_stride = stride
        if out_channels is not None:
            self.out_channels = out_channels

    def forward(self, x):
        """Every second frame, with the defect."""
        if self.fails:
            raise RuntimeError('mat1 and mat2 cannot be multiplied\nsecond line')
        out = self.layer(x[:, :, :, :self.joints])
        out = nn.functional.avg_pool2d(out, (2, 1)) if self.floors else out[:, :, ::2]
        return out if self.ndim == 4 else out.mean((2, 3))


ACTCLR, SKELEMIX, MOCO = (METHODS[name][0] for name in ('ActCLR', 'SkeleMixCLR', 'MoCo'))


@pytest.mark.parametrize('leaf, odd, says', [
    (MOCO, dict(out_channels=7), 'MoCo: Odd.out_channels is 7, its feature map has 6 channels'),
    (MOCO, dict(fails=True), r'MoCo: backbone Odd cannot encode \(2, 3, 32, 20\).*RuntimeError: mat1 and mat2 cannot '
                             r'be multiplied\); a backbone takes'),
    (MOCO, dict(ndim=2), r"MoCo: backbone Odd makes \(2, 6\) of \(2, 3, 32, 20\) \(N, C, T, V\), expected a feature"),
    (ACTCLR, dict(joints=5), 'ActCLR: the feature map of Odd has 5 joints, layout .* has 20; .*must keep'),
    (SKELEMIX, dict(joints=5), 'SkeleMixCLR: the feature map of Odd has 5 joints'),
    (SKELEMIX, dict(stride=4), 'SkeleMixCLR: Odd.temporal_stride is 4, but 32 frames become 16 cells and not 8'),
    (SKELEMIX, dict(stride=None), 'SkeleMixCLR: Odd has no temporal_stride'),
    (SKELEMIX, dict(stride=0), 'SkeleMixCLR: Odd.temporal_stride is 0, expected'),
    (SKELEMIX, dict(floors=True), r'SkeleMixCLR: Odd makes 16 cells of 33 frames, expected 17.*ceil_mode'),
    *((METHODS[name][0], dict(stride=4), rf'{kind}: Odd.temporal_stride is 4, but 32 frames become 16 cells')
      for name, kind in (('MoCo', 'MoCo'), ('AimCLR', 'AimCLR'), ('CrosSCLR', 'MoCo'), ('CMD', 'MoCo')))])
def test_an_encoder_that_does_not_fit_is_named_before_training(leaf, odd, says):
    with pytest.raises(ConfigError, match=says) as caught:
        MODELS.build(config(leaf, dict(type='Odd', **odd)).model)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('kind', ['Recognizer', 'Segmentor'])
@pytest.mark.parametrize('odd, says', [
    (dict(out_channels=48), 'Odd.out_channels is 48, its feature map has 6 channels'),
    (dict(stride=4), 'Odd.temporal_stride is 4, but 32 frames become 16 cells'),
    (dict(ndim=2), r'backbone Odd makes \(2, 6\)')])
def test_a_classifier_on_an_encoder_that_does_not_fit_is_refused(kind, odd, says):
    with pytest.raises(ConfigError, match=f'{kind}: {says}'):
        MODELS.build(dict(type=kind, layout=LAYOUT, backbone=dict(type='Odd', **odd),
                          head=dict(type='ClassificationHead', num_classes=3)))


@pytest.mark.parametrize('leaf', [MOCO, ACTCLR])
def test_methods_without_blocks_of_cells_take_maps_that_floor(leaf):
    model = MODELS.build(config(leaf, dict(type='Odd', floors=True)).model)
    assert model.backbone(torch.zeros(1, 3, 33, 20)).shape == (1, 6, 16, 20)


def test_methods_that_pool_everything_take_maps_without_joints():
    model = MODELS.build(config(MOCO, dict(type='Odd', joints=5)).model)
    assert model.projector.in_channels == 6


@pytest.mark.parametrize('part, build', [
    ('projector', lambda: dict(config(ACTCLR, tiny('AGCN')).model, projector=dict(
        type='ProjectionMLP', in_channels=96, out_channels=64))),
    ('head', lambda: dict(type='Recognizer', layout=LAYOUT, backbone=tiny('AGCN'), head=dict(
        type='ClassificationHead', in_channels=96, num_classes=3)))])
def test_a_width_that_is_not_the_encoders_is_named(part, build):
    with pytest.raises(ConfigError, match=rf'{part}.in_channels is 96, the backbone gives features of 12; leave '
                                          rf'{part}.in_channels out'):
        MODELS.build(build())


def test_an_encoder_of_another_layout_is_named_when_the_method_is_built():
    with pytest.raises(ConfigError, match="20 joints.*'ntu25' with 25"):
        MODELS.build(config(ACTCLR, tiny('CTRGCN', 'ntu25')).model)


def test_actionlets_of_a_map_without_joints_are_refused():
    model = Recognizer(LAYOUT, backbone=dict(type='Odd', joints=5), head=None)
    with pytest.raises(ConfigError, match='ActionletHead: the feature map has 5 joints, its layout has 20'):
        find_actionlet(model, ActionletHead(LAYOUT), batch()['inputs'], batch()['mask'], torch.zeros(2, FRAMES, 20, 3))


def test_a_check_leaves_the_encoder_as_it_was():
    encoder = MODELS.build(tiny('STGCNPP')).train()
    stir(encoder)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    state = torch.get_rng_state()
    check_feature_map(encoder, get_layout(LAYOUT), 'test', keeps_joints=True)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert encoder.training and encoder.units[0].training and torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('leaf, field', [('actclr_joint_utdmhad_xsub', 'model.backbone.type'),
                                         ('actclr_joint_ntu60_xsub', 'model.backbone.type'),
                                         ('actclr_3s_utdmhad_xsub', 'model.branch.backbone.type')])
@pytest.mark.parametrize('name', [name for name in BACKBONES if name not in ('STGCN', EXAMPLE)])
def test_one_option_puts_another_backbone_of_the_package_into_a_config(name, leaf, field):
    model = MODELS.build(load_config(leaf, {field: name}).model)
    for branch in model.branches().values():
        assert type(branch.backbone).__name__ == name
        assert branch.projector.in_channels == branch.backbone.out_channels == (256 if 'ntu' in leaf else 96)


LEAVES = sorted((ROOT / 'configs' / 'backbones').glob('*.py'))
NAMES = {'agcn': 'AGCN', 'bigru': 'BiGRU', 'ctrgcn': 'CTRGCN', 'stgcnpp': 'STGCNPP',
         'transformer': 'SkeletonTransformer'}


def test_every_backbone_of_the_package_has_configs():
    assert set(NAMES.values()) == set(BACKBONES) - {'STGCN', EXAMPLE}
    assert {path.stem.split('_')[0] for path in LEAVES} == {f'actclr-{name}' for name in NAMES}


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
def test_a_config_differs_from_that_of_the_method_in_the_backbone_alone(path):
    method, rest = path.stem.split('_', 1)
    cfg, other = load_config(path), load_config(f'{method.split("-")[0]}_{rest}')
    found, expected = (each.model.get('branch', each.model).backbone for each in (cfg, other))
    assert found.pop('type') == NAMES[method.split('-')[1]] and expected.pop('type') == 'STGCN'
    assert cfg.to_dict() == other.to_dict()
