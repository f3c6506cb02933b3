"""Public weights to ours and back, against golden numbers and against encoders written under public names by hand."""
import os
import pickle
import re

import numpy as np
import pytest
import torch
from torch import nn

from mmactclr.apis import init_model
from mmactclr.datasets import ArchiveWriter, SkeletonDataset
from mmactclr.datasets.ntu_classes import NTU60_CLASSES, NTU120_CLASSES
from mmactclr.engine.checkpoints import ModelCard, write_checkpoint
from mmactclr.engine.checkpoints.official import from_official, to_official
from mmactclr.engine.checkpoints.official_files import convert_file, revert_file
from mmactclr.errors import ConfigError, DataError, MMActCLRError
from mmactclr.models import STGCN, MoCo, MultiStream, Recognizer
from mmactclr.models.backbones import build_adjacency
from mmactclr.models.necks import ProjectionMLP
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout

GOLDEN = ['official_actclr_ntu60_xview_joint_linear.pt', 'official_aimclr_ntu60_xview_joint_linear.pt']
TEN = dict(channels=(8,) * 4 + (16,) * 3 + (32,) * 2 + (48,), strided_units=(5, 8))
NINE = dict(channels=(8,) * 3 + (16,) * 3 + (32,) * 2 + (48,), strided_units=(4, 7))


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


# the authors' weights

@pytest.fixture(scope='module', params=GOLDEN)
def golden_model(request, golden_dir, tmp_path_factory):
    path = tmp_path_factory.mktemp('converted') / 'ours.pth'
    notes = convert_file(golden_dir / request.param, path)
    return golden_dir / request.param, path, notes


def test_the_converted_file_needs_no_config(golden_model):
    source, path, notes = golden_model
    model = init_model(checkpoint=path)
    assert isinstance(model, Recognizer) and model.card.classes == list(NTU60_CLASSES)
    assert model.card.num_frames == 50 and model.card.max_persons == 2 and source.name in model.card.source
    text = '\n'.join(notes)
    assert 'stride 2 at units [5, 8], assumed' in text and 'strategy spatial, hops one' in text
    assert 'classifier of 60 classes' in text and '10 units' in text and 'left out' not in text


def test_feature_maps_and_logits_are_the_golden_ones(golden_dir, tmp_path):
    convert_file(golden_dir / GOLDEN[0], tmp_path / 'ours.pth')
    model = init_model(checkpoint=tmp_path / 'ours.pth')
    golden = np.load(golden_dir / 'stgcn_forward.npz', allow_pickle=False)
    # (N, C, T, V, M) to (N, M, T, V, C)
    joints = torch.from_numpy(golden['x']).permute(0, 4, 2, 3, 1).contiguous()
    with torch.no_grad():
        feature_map, _ = model.encode(model.backbone, joints, joints.flatten(2).any(2))
    features = model.extract(joints, joints.flatten(2).any(2))
    for name, value in dict(feature_map=feature_map, pooled=features['backbone'], logits=features['score']).items():
        np.testing.assert_allclose(value.numpy(), golden[name], atol=1e-4, err_msg=name)


def test_from_raw_recordings_to_the_same_classes(golden_dir, tmp_path):
    """Archive, preparation, model and prediction, as a user runs them."""
    convert_file(golden_dir / GOLDEN[0], tmp_path / 'ours.pth')
    model = init_model(checkpoint=tmp_path / 'ours.pth')
    raw = np.load(golden_dir / 'preprocess.npz', allow_pickle=False)
    with ArchiveWriter(tmp_path / 'data', 'ntu25', fps=30, source='golden', licence='MIT') as writer:
        for i in range(8):
            writer.add(raw[f'raw_{i}'], name=f'raw_{i}')
        writer.finish()
    card = model.card
    dataset = SkeletonDataset(tmp_path / 'data', split=None, layout=card.layout, num_frames=card.num_frames,
                              max_persons=card.max_persons, preparation=card.preparation)
    found = dataset.__getitems__(range(8))
    samples = model(found['inputs'], found['mask'], mode='predict')
    logits = np.load(golden_dir / 'stgcn_forward.npz', allow_pickle=False)['logits']
    assert [int(sample.pred_label) for sample in samples] == logits.argmax(1).tolist()
    np.testing.assert_allclose(torch.stack([sample.pred_score for sample in samples]).numpy(), logits, atol=2e-3)


def test_there_and_back_changes_no_bit(golden_model, tmp_path):
    source, path, _ = golden_model
    revert_file(path, tmp_path / 'back.pt')
    public = torch.load(source, weights_only=True)
    assert_same(dict(public), torch.load(tmp_path / 'back.pt', weights_only=True))


# forms that no file at hand has

@pytest.mark.parametrize('shape', [TEN, NINE], ids=['10', '9'])
@pytest.mark.parametrize('graph', [None, dict(hops='full'), dict(strategy='distance'), dict(strategy='inward_outward')])
def test_everything_is_derived_from_the_weights(tmp_path, shape, graph):
    encoder, weights = encoder_weights(graph=graph, **shape)
    fc = nn.Linear(48, 11)
    weights |= {'fc.weight': fc.weight.detach()[:, :, None, None], 'fc.bias': fc.bias.detach()}
    model, notes = convert(tmp_path, with_prefix('encoder_q', weights))
    joints, mask = batch()
    with torch.no_grad():
        expected = pooled(encoder, joints)
        features = model.extract(joints, mask)
        torch.testing.assert_close(features['backbone'], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(features['score'], fc(expected), atol=1e-5, rtol=1e-4)
    assert model.card.classes == [str(i) for i in range(11)]
    assert model.card.model['backbone']['strided_units'] == list(shape['strided_units'])
    assert all(str(value) in '\n'.join(notes) for value in (graph or dict(strategy='spatial')).values())


def test_given_strides_and_class_names_win(tmp_path):
    encoder, weights = encoder_weights(channels=(8, 8, 8), strided_units=())
    weights |= {'fc.weight': torch.randn(2, 8), 'fc.bias': torch.randn(2)}
    (tmp_path / 'names.txt').write_text('wave\nnod\n')
    state = with_prefix('encoder_q', weights)
    model, notes = convert(tmp_path, state, strided_units=[], classes=tmp_path / 'names.txt')
    assert model.card.classes == ['wave', 'nod'] and 'assumed' not in '\n'.join(notes)
    joints, mask = batch()
    torch.testing.assert_close(model.extract(joints, mask)['backbone'], pooled(encoder, joints), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('stream', ['joint', 'bone'])
def test_a_pretraining_checkpoint_is_whole(tmp_path, stream):
    state = pretext()
    model, notes = convert(tmp_path, {f'module.{name}': value for name, value in state.items()}, stream=stream)
    assert isinstance(model, MoCo) and model.stream == stream and 'left out' not in '\n'.join(notes)
    for role, seed, suffix in (('q', 0, ''), ('k', 1, '_k')):
        encoder, projector = encoder_weights(seed)[0], projector_weights(seed)[0]
        joints, mask = batch()
        feature_map, rows = model.encode(getattr(model, f'backbone{suffix}'), joints, mask)
        found = getattr(model, f'projector{suffix}')(rows.mean(feature_map.mean((2, 3))))
        torch.testing.assert_close(found, projector(pooled(encoder, joints)), atol=1e-5, rtol=1e-4, msg=role)
    torch.testing.assert_close(model.memory.valid(), state['queue'].t())
    assert int(model.memory.pointer) == 5
    assert_same(state, to_official(model.state_dict(), 'test'))


def test_three_streams_in_one_file(tmp_path):
    state = pretext(('', '_motion', '_bone'))
    model, _ = convert(tmp_path, state)
    assert isinstance(model, MultiStream) and list(model.branches()) == ['joint', 'motion', 'bone']
    weights = [encoder_weights(seed)[1]['st_gcn_networks.3.gcn.conv.weight'] for seed in (0, 10, 20)]
    for branch, weight in zip(model.branches().values(), weights, strict=True):
        assert torch.equal(branch.backbone.units[3].gcn.weight, weight)
    assert_same(state, to_official(model.state_dict(), 'test'))


def test_classifiers_of_three_streams_are_fused(tmp_path):
    state, fc = {}, {}
    for number, suffix in enumerate(('', '_motion', '_bone')):
        fc[suffix] = nn.Linear(48, 120)
        weights = {**encoder_weights(number)[1], 'fc.weight': fc[suffix].weight.detach()[:, :, None, None],
                   'fc.bias': fc[suffix].bias.detach()}
        state |= with_prefix(f'encoder_q{suffix}', weights)
    model, notes = convert(tmp_path, state)
    assert model.card.classes == list(NTU120_CLASSES) and 'MultiStream of Recognizer' in notes[1]
    joints, mask = batch()
    features = model.extract(joints, mask)
    expected = 0.6 * features['joint.score'] + 0.4 * features['motion.score'] + 0.6 * features['bone.score']
    (sample, *_) = model(joints, mask, mode='predict')
    torch.testing.assert_close(sample.pred_score, expected[0])


@pytest.mark.parametrize('form', ['nested', 'norm', 'mixed'])
def test_projectors_of_another_form_are_left_out_and_said_so(tmp_path, form):
    """Nested ones are what the public three-stream code leaves in its motion and bone projectors."""
    if form == 'mixed':
        state = pretext(('', '_motion', '_bone'))
        for suffix in ('_motion', '_bone'):
            state = {name: value for name, value in state.items() if not re.match(rf'encoder_[qk]{suffix}\.fc\.', name)}
            state |= with_prefix(f'encoder_q{suffix}', projector_weights(nested=True)[1])
    else:
        state = pretext(**{form: True})
    model, notes = convert(tmp_path, state)
    assert 'left out' in notes[-1] and 'encoders are' not in notes[-1]
    for branch in model.branches().values():
        assert isinstance(branch, Recognizer) and branch.head is None
    features = model.extract(*batch())
    assert 'score' not in features and torch.isfinite(features['backbone']).all()


@pytest.mark.parametrize('wrap', [dict, lambda s: {'model': s, 'epoch': 3}, lambda s: {'state_dict': s}])
def test_weights_may_lie_deeper_in_the_file(tmp_path, wrap):
    encoder, weights = encoder_weights()
    model, _ = convert(tmp_path, wrap(with_prefix('module.encoder_q', weights)))
    assert torch.equal(model.backbone.units[3].gcn.weight, encoder.units[3].gcn.weight)


def test_weights_of_half_precision(tmp_path):
    encoder, weights = encoder_weights()
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    model, _ = convert(tmp_path, with_prefix('encoder_q', half))
    joints, mask = batch()
    torch.testing.assert_close(model.extract(joints, mask)['backbone'], pooled(encoder, joints), atol=1e-2, rtol=1e-2)


def test_a_projector_without_key_encoder_and_memory(tmp_path):
    state = {name: value for name, value in pretext().items() if name.startswith('encoder_q')}
    model, notes = convert(tmp_path, state)
    assert isinstance(model, MoCo) and int(model.memory.filled) == 0 and model.memory.size > 1
    assert 'not in the file: joint key encoder' in notes[-2] and 'joint memory, which starts empty' in notes[-1]
    assert_same(model.backbone.state_dict(), model.backbone_k.state_dict())
    assert_same(model.projector.state_dict(), model.projector_k.state_dict())


def test_layers_of_a_projector_may_be_convolutions(tmp_path):
    state = pretext()
    convolutions = {name: value[:, :, None, None] if re.search(r'fc\.\d\.weight', name) else value
                    for name, value in state.items()}
    model, _ = convert(tmp_path, convolutions)
    assert_same(state, to_official(model.state_dict(), 'test'))


def test_a_stripped_encoder_is_an_encoder(tmp_path):
    encoder, weights = encoder_weights()
    model, _ = convert(tmp_path, {'state_dict': with_prefix('encoder_q', weights)})
    joints, mask = batch()
    found = model.extract(joints, mask)
    assert set(found) == {'backbone'}
    torch.testing.assert_close(found['backbone'], pooled(encoder, joints), atol=1e-5, rtol=1e-4)


def test_what_has_no_place_in_a_public_file_is_left_out(tiny_archive, tiny_config, tmp_path):
    model = init_model(tiny_config(tiny_archive, 'actclr_joint_ntu60_xsub'))
    public = to_official(model.state_dict(), 'test')
    assert len(model.state_dict()) - len(public) == 3 and not any('anchor' in name for name in public)
    assert public['queue'].shape == (4, 16) and public['queue_ptr'].shape == (1,)


OURS = dict(type='STGCN', layout='ntu25', **NINE)
MOCO = dict(type='MoCo', layout='ntu25', backbone=OURS, memory=dict(size=16, dim=4), loss=dict(type='InfoNCELoss'),
            projector=dict(type='ProjectionMLP', in_channels=48, hidden_channels=12, out_channels=4))
HEAD = dict(type='ClassificationHead', in_channels=48, num_classes=7)


def write_ours(path, config):
    """A checkpoint of ours with every number drawn, so that none is what a fresh model has."""
    torch.manual_seed(3)
    model = MODELS.build(config)
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not name.endswith('adjacency') and '.memory' not in f'.{name}':
            value.uniform_(0.1, 1)
    return model, lambda: write_checkpoint(path, model.state_dict(),
                                           ModelCard(model=config, layout=get_layout('ntu25').to_dict()))


@pytest.mark.parametrize('stored', [0, 9, 16, 40])
@pytest.mark.parametrize('config', [MOCO, dict(type='MultiStream', branch=MOCO)], ids=['one stream', 'three streams'])
def test_ours_to_public_and_back_changes_no_bit(tmp_path, config, stored):
    """Of a memory that is not full the number of keys comes back as well, though no public name holds it."""
    model, write = write_ours(tmp_path / 'ours.pth', config)
    for branch in model.branches().values():
        for keys in torch.rand(stored, 4).split(7):
            branch.memory.enqueue(keys)
    write()
    notes = revert_file(tmp_path / 'ours.pth', tmp_path / 'public.pt')
    assert 'stride 2 at units [4, 7], layout ntu25' in notes[-1]
    convert_file(tmp_path / 'public.pt', tmp_path / 'back.pth')
    back = init_model(checkpoint=tmp_path / 'back.pth')
    assert_same(dict(model.state_dict()), back.state_dict())
    assert all(int(branch.memory.filled) == min(stored, 16) for branch in back.branches().values())


@pytest.mark.parametrize('head', [HEAD, None], ids=['classifier', 'encoder'])
def test_a_recognizer_to_public_and_back_changes_no_bit(tmp_path, head):
    model, write = write_ours(tmp_path / 'ours.pth', dict(type='Recognizer', layout='ntu25', stream='bone',
                                                          backbone=OURS, head=head))
    write()
    assert 'stream bone' in revert_file(tmp_path / 'ours.pth', tmp_path / 'public.pt')[-1]
    convert_file(tmp_path / 'public.pt', tmp_path / 'back.pth', stream='bone')
    back = init_model(checkpoint=tmp_path / 'back.pth')
    assert_same(dict(model.state_dict()), back.state_dict())
    joints, mask = batch()
    assert_same(model.eval().extract(joints, mask), back.extract(joints, mask))


@pytest.mark.parametrize('config, message', [
    (dict(type='Recognizer', layout='ntu25', backbone=OURS, head=HEAD, skip_absent=True), 'leaves absent persons out'),
    (dict(MOCO, projector=dict(MOCO['projector'], type='Wide')), 'no counterpart')])
def test_models_that_compute_something_else_are_not_written_back(tmp_path, monkeypatch, config, message):
    monkeypatch.setitem(MODELS.module_dict, 'Wide', WideProjector)
    write_ours(tmp_path / 'ours.pth', config)[1]()
    with pytest.raises(ConfigError, match=message):
        revert_file(tmp_path / 'ours.pth', tmp_path / 'public.pt')
    assert [path.name for path in tmp_path.iterdir()] == ['ours.pth']


class WideProjector(ProjectionMLP):
    """A projector with batch norm, as a user may register one."""

    def __init__(self, **options):
        super().__init__(**options)
        self.norm = nn.BatchNorm1d(4)


# refused, in one line

def change(**changes):
    def apply(state):
        state = dict(state)
        for name, value in changes.items():
            name = name.replace('__', '.')
            if value is None:
                del state[name]
            else:
                state[name] = value
        return state
    return apply


LINEAR_REFUSED = {
    'missing': (change(**{'encoder_q__st_gcn_networks__3__gcn__conv__weight': None}), r'3\.gcn\.conv\.weight missing'),
    'statistics': (change(**{'encoder_q__st_gcn_networks__3__tcn__0__running_var': None}),
                   r'1 weights are missing \(first: encoder_q\.st_gcn_networks\.3\.tcn\.0\.running_var'),
    'half a classifier': (change(encoder_q__fc__bias=None), 'classifier without fc.bias'),
    'strange tail': (change(encoder_q__fc__gate__scale=torch.ones(2)), r"unknown names behind.*fc\.gate\.scale"),
    'key encoder of nothing': (change(encoder_k__gate=torch.ones(2)), r"unknown names.*encoder_k\.gate"),
    'memory of no stream': (change(queue_motion=torch.ones(6, 32)), "unknown names.*queue_motion"),
    'even kernel': (lambda s: {k: v[:, :, :8] if v.shape[2:] == (9, 1) else v for k, v in s.items()},
                    '8 frames long, expected an odd number'),
    'flat kernel': (change(**{'encoder_q__st_gcn_networks__0__tcn__2__weight': torch.ones(8, 8)}),
                    r'has the shape \(8, 8\), expected 4 dimensions'),
    'no dimensions': (change(**{'encoder_q__st_gcn_networks__3__tcn__0__weight': torch.tensor(1.)}), 'expected 1 dim'),
    'gap': (lambda s: {k.replace('networks.9.', 'networks.12.'): v for k, v in s.items()}, r'are \[0, .*8, 12\]'),
    'no tensor': (change(encoder_q__A=3), 'encoder_q.A is no dense tensor'),
    'sparse': (lambda s: {**s, 'encoder_q.A': s['encoder_q.A'].to_sparse()}, 'encoder_q.A is no dense tensor'),
    'kind': (change(encoder_q__fc__bias=torch.ones(11, dtype=torch.long)), 'another kind of number'),
    'no residual': (change(**{'encoder_q__st_gcn_networks__4__residual__0__weight': None}), 'missing'),
    'extra': (change(decoder__weight=torch.ones(2)), "unknown names.*decoder.weight"),
    'extra in encoder': (change(encoder_q__attention__weight=torch.ones(2)), 'have no place'),
    'shape': (change(**{'encoder_q__st_gcn_networks__3__tcn__2__weight': torch.ones(4, 4, 9, 1)}), 'another shape'),
    'graph': (change(encoder_q__A=torch.rand(3, 25, 25)), 'graph A is none of'),
    'joints': (change(encoder_q__A=torch.rand(3, 20, 20)), r"layout 'ntu25' has 25 joints.*--layout"),
    'coordinates': (change(encoder_q__data_bn__weight=torch.ones(50)), 'data_bn.weight'),
    'key without query': (lambda s: {k.replace('_q', '_k'): v for k, v in s.items()}, 'no encoder_q'),
    'nan': (change(encoder_q__fc__bias=torch.full((11,), torch.nan)), 'not finite')}


@pytest.mark.parametrize('case', LINEAR_REFUSED)
def test_weights_that_do_not_fit_are_refused(tmp_path, case):
    weights = {**encoder_weights()[1], 'fc.weight': torch.randn(11, 48, 1, 1), 'fc.bias': torch.randn(11)}
    apply, message = LINEAR_REFUSED[case]
    with pytest.raises(MMActCLRError, match=message):
        convert_file(save(tmp_path, apply(with_prefix('encoder_q', weights))), tmp_path / 'ours.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['public.pt']


@pytest.mark.parametrize('changes', [
    dict(queue_ptr=None), dict(queue_ptr=torch.tensor([32])), dict(queue=torch.ones(6)),
    dict(queue_ptr=torch.tensor([5.]))])
def test_a_damaged_memory_is_refused(tmp_path, changes):
    with pytest.raises(DataError, match='memory is damaged'):
        convert_file(save(tmp_path, change(**changes)(pretext())), tmp_path / 'ours.pth')


class Hostile:
    """Runs a command where it is unpickled without care."""

    def __reduce__(self):
        return os.mkdir, ('executed',)


@pytest.mark.parametrize('kind', ['truncated', 'hostile', 'text', 'empty', 'ours', 'list'])
def test_files_that_are_no_public_weights_are_refused(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path, pretext())
    if kind == 'truncated':
        path.write_bytes(path.read_bytes()[:-5000])
    elif kind == 'hostile':
        path.write_bytes(pickle.dumps({'encoder_q.A': Hostile()}))
    elif kind in ('text', 'empty'):
        path.write_text('weights' if kind == 'text' else '')
    elif kind == 'list':
        torch.save([torch.ones(2)], path)
    else:
        torch.save({'backbone.adjacency': torch.ones(3, 25, 25)}, path)
    with pytest.raises(DataError, match='public.pt'):
        convert_file(path, tmp_path / 'ours.pth')
    assert not (tmp_path / 'executed').exists() and not (tmp_path / 'ours.pth').exists()


@pytest.mark.parametrize('changes, message', [
    ({'encoder_k__st_gcn_networks__3__gcn__conv__weight': None}, r'missing \(first: encoder_k\.st_gcn_networks\.3'),
    ({'encoder_k__fc__2__bias': None}, r'missing \(first: encoder_k\.fc\.2\.bias'),
    ({'encoder_q__fc__2__bias': None}, r'projector without fc\.2\.bias'),
    ({'encoder_k__st_gcn_networks__3__gcn__conv__weight': torch.ones(2, 2, 1, 1)}, r'shape \(first: encoder_k'),
    ({'encoder_k__A': torch.rand(3, 25, 25)}, 'several graphs'),
    ({'queue': torch.ones(7, 32)}, r'shape \(first: queue ')])
def test_a_damaged_pretraining_checkpoint_is_refused(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        convert_file(save(tmp_path, change(**changes)(pretext())), tmp_path / 'ours.pth')


def test_streams_that_do_not_match_are_refused(tmp_path):
    state = pretext(('', '_motion', '_bone'))
    other = {name: value[:, :, :7] if 'q_bone' in name and value.shape[2:] == (9, 1) else value
             for name, value in state.items()}
    half = {name: value for name, value in state.items() if not re.search(r'\.fc\.|_k|queue', name)}
    half |= {'encoder_q.fc.weight': torch.ones(11, 48), 'encoder_q.fc.bias': torch.ones(11)}
    for changed, message in ((other, 'differ in architecture'), (half, 'classifier in some streams only')):
        with pytest.raises(DataError, match=message):
            convert_file(save(tmp_path, changed), tmp_path / 'ours.pth')


def test_models_without_a_counterpart_are_not_written_back(tmp_path):
    for state in ({'backbone.units.0.attention.weight': torch.ones(1)}, {'head.fc.weight': torch.ones(2, 2)}):
        with pytest.raises(ConfigError, match='no counterpart|no encoder'):
            to_official(state, 'test')


def test_an_existing_file_is_kept(tmp_path):
    path = save(tmp_path, pretext())
    (tmp_path / 'ours.pth').write_text('mine')
    with pytest.raises(ConfigError, match='--overwrite'):
        convert_file(path, tmp_path / 'ours.pth')
    with pytest.raises(ConfigError, match='is a folder'):
        convert_file(path, tmp_path, overwrite=True)
    assert (tmp_path / 'ours.pth').read_text() == 'mine'


@pytest.mark.parametrize('options, message', [
    (dict(strided_units=[11]), 'units 1 to 10'), (dict(classes=['a']), 'gives 1 names.* 11 classes'),
    (dict(stream='depth'), 'stream is'), (dict(layout='ntu26'), 'ntu26')])
def test_options_that_do_not_fit_are_named(options, message):
    weights = {**encoder_weights()[1], 'fc.weight': torch.randn(11, 48, 1, 1), 'fc.bias': torch.randn(11)}
    with pytest.raises(ConfigError, match=message):
        from_official(with_prefix('encoder_q', weights), 'test', **options)


def test_class_names_are_those_of_the_data_set():
    assert len(NTU120_CLASSES) == len(set(NTU120_CLASSES)) == 120
    assert NTU60_CLASSES == NTU120_CLASSES[:60]
    numbered = {1: 'drink water', 23: 'hand wave', 43: 'fall down', 60: 'walk apart from each other',
                61: 'put on headphone', 112: 'high-five', 120: 'finger-guessing game'}
    assert all(NTU120_CLASSES[number - 1] == name for number, name in numbered.items())


def test_the_graph_conventions_differ_on_the_joints_of_ntu():
    """Three subsets of the same shape: only their values tell which one weights were trained with."""
    found = [build_adjacency('ntu25', **graph) for graph in
             (dict(), dict(hops='full'), dict(strategy='inward_outward'))]
    assert all(graph.shape == (3, 25, 25) for graph in found)
    assert not torch.allclose(found[0], found[1]) and not torch.allclose(found[0], found[2])
