"""Public weights to ours and back, against golden numbers and against encoders written under public names by hand."""
import re

import numpy as np
import pytest
import torch
from torch import nn

from mmactclr.apis import init_model
from mmactclr.datasets import ArchiveWriter, SkeletonDataset
from mmactclr.datasets.ntu_classes import NTU60_CLASSES, NTU120_CLASSES
from mmactclr.engine.checkpoints import ModelCard, write_checkpoint
from mmactclr.engine.checkpoints.official import to_official
from mmactclr.engine.checkpoints.official_files import convert_file, revert_file
from mmactclr.errors import ConfigError
from mmactclr.models import MoCo, MultiStream, Recognizer
from mmactclr.models.backbones import build_adjacency
from mmactclr.models.necks import ProjectionMLP
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from tests.test_engine.public_samples import (
    NINE,
    SAME,
    TEN,
    assert_same,
    batch,
    convert,
    encoder_weights,
    pooled,
    pretext,
    projector_weights,
    with_prefix,
)

GOLDEN = ['official_actclr_ntu60_xview_joint_linear.pt', 'official_aimclr_ntu60_xview_joint_linear.pt']


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

@pytest.mark.parametrize('shape', [TEN, NINE, SAME], ids=['10', '9', 'same width'])
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
