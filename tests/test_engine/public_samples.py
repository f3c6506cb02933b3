"""Weights under the names of the public code, written down module by module for the tests that convert them."""
import torch
from torch import nn

from mmactclr.apis import init_model
from mmactclr.engine.checkpoints.official_files import convert_file
from mmactclr.models import STGCN

TEN = dict(channels=(8,) * 4 + (16,) * 3 + (32,) * 2 + (48,), strided_units=(5, 8))
NINE = dict(channels=(8,) * 3 + (16,) * 3 + (32,) * 2 + (48,), strided_units=(4, 7))
# a stride where channels neither double nor change: told by the convolution in the residual path
SAME = dict(channels=(8, 8, 8, 48), strided_units=(3,))


def encoder_weights(seed=0, graph=None, layout='ntu25', **shape):
    """A public encoder: the modules of ST-GCN named as the public code names them."""
    torch.manual_seed(seed)
    source = STGCN(layout, graph=graph, **(shape or TEN))
    for module in source.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.num_batches_tracked.fill_(seed + 7)
    public = {'A': source.adjacency, **{f'edge_importance.{i}': w for i, w in enumerate(source.edge_importance)}}
    public |= {f'data_bn.{name}': value for name, value in source.data_bn.state_dict().items()}
    for i, unit in enumerate(source.units):
        public[f'st_gcn_networks.{i}.gcn.conv.weight'] = unit.gcn.weight
        public[f'st_gcn_networks.{i}.gcn.conv.bias'] = unit.gcn.bias
        for part in ('tcn', 'residual'):
            module = getattr(unit, part)
            if module is not None:
                for name, value in module.state_dict().items():
                    public[f'st_gcn_networks.{i}.{part}.{name}'] = value
    return source.eval(), {name: value.detach().clone() for name, value in public.items()}


def with_prefix(prefix, weights):
    return {f'{prefix}.{name}': value for name, value in weights.items()}


def projector_weights(seed=0, nested=False, norm=False):
    torch.manual_seed(100 + seed)
    if norm:
        layers = nn.Sequential(nn.Linear(48, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 6))
    elif nested:
        layers = nn.Sequential(nn.Linear(48, 48), nn.ReLU(),
                               nn.Sequential(nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 6)))
    else:
        layers = nn.Sequential(nn.Linear(48, 20), nn.ReLU(), nn.Linear(20, 6))
    return layers.eval(), {f'fc.{name}': value.detach().clone() for name, value in layers.state_dict().items()}


def pretext(streams=('',), **projector):
    """A public checkpoint after pretraining."""
    state = {}
    for number, suffix in enumerate(streams):
        for role in ('q', 'k'):
            seed = 10 * number + (role == 'k')
            weights = {**encoder_weights(seed)[1], **projector_weights(seed, **projector)[1]}
            state |= with_prefix(f'encoder_{role}{suffix}', weights)
        state[f'queue{suffix}'] = nn.functional.normalize(torch.randn(6, 32), dim=0)
        state[f'queue_ptr{suffix}'] = torch.tensor([5 + number])
    return state


def save(tmp_path, state, name='public.pt'):
    torch.save(state, tmp_path / name)
    return tmp_path / name


def convert(tmp_path, state, **options):
    path = tmp_path / 'ours.pth'
    notes = convert_file(save(tmp_path, state), path, overwrite=True, **options)
    return init_model(checkpoint=path), notes


def batch():
    joints = torch.randn(3, 2, 50, 25, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    return joints * mask[:, :, None, None, None], mask


def pooled(encoder, joints):
    maps = [encoder(joints[:, m].permute(0, 3, 1, 2)).mean((2, 3)) for m in range(2)]
    return (maps[0] + maps[1]) / 2


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert value.dtype == b[name].dtype and torch.equal(value, b[name]), name
