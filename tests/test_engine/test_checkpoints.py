"""Model cards, what they refuse, and weights that do not fit."""
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from mmactclr.engine.checkpoints import (
    CARD,
    ModelCard,
    adopt_card,
    card_of_config,
    check_fit,
    read_checkpoint,
    state_of,
    write_checkpoint,
)
from mmactclr.engine.checkpoints.plain import as_plain, find_foreign
from mmactclr.errors import ConfigError, DataError
from mmactclr.models import MoCo, MultiStream, Recognizer
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config

LAYOUT = 'kinect20_utdmhad'


def card_of(layout=LAYOUT, stream='joint', channels=(4, 8), num_classes=3, graph=None, **more) -> ModelCard:
    backbone = dict(type='STGCN', layout=layout, channels=list(channels), strided_units=[2])
    if graph:
        backbone['graph'] = graph
    model = dict(type='Recognizer', layout=layout, stream=stream, backbone=backbone,
                 head=dict(type='ClassificationHead', in_channels=channels[-1], num_classes=num_classes))
    return ModelCard(**{'model': model, 'layout': get_layout(layout).to_dict(), 'num_frames': 16, 'max_persons': 1,
                        'classes': [f'class {i}' for i in range(num_classes)], 'source': 'made up', **more})


def one_line(error) -> str:
    text = str(error.value)
    assert '\n' not in text and 'file.pth' in text
    return text


# cards


def test_a_card_comes_back_from_a_file(tmp_path):
    card = card_of(preparation=[dict(type='Centre'), dict(type='ResizeFrames', num_frames=16)])
    model = card.build('file.pth')
    path = write_checkpoint(tmp_path / 'deep' / 'file.pth', model.state_dict(), card)
    loaded = torch.load(path, weights_only=True)
    assert ModelCard.of(loaded, str(path)) == card
    assert [file.name for file in path.parent.iterdir()] == ['file.pth']
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state_of(loaded).items())


def test_a_checkpoint_without_a_card_has_none():
    assert ModelCard.of({'state_dict': {}}, 'file.pth') is None
    assert ModelCard.of({'meta': {'epoch': 1}}, 'file.pth') is None
    assert ModelCard.of({'meta': 'none'}, 'file.pth') is None


def test_the_cards_joints_count_whatever_its_model_calls_them():
    """A layout that is registered nowhere here, under a name that means other joints."""
    joints = ['neck', 'left_shoulder', 'left_hand', 'right_shoulder', 'right_hand', 'left_hip', 'right_hip']
    layout = dict(name='ntu25', joints=joints, edges=[[0, 1], [1, 2], [0, 3], [3, 4], [0, 5], [0, 6]])
    model = replace(card_of('ntu25'), layout=layout).build('file.pth')
    assert model.layout.joints == model.backbone.layout.joints == tuple(joints)
    assert model.backbone.adjacency.shape == (3, 7, 7)


def damaged(**fields):
    def change(card: dict) -> None:
        card.update(fields)
    return change


def damaged_layout(**fields):
    def change(card: dict) -> None:
        card['layout'] = {**card['layout'], **fields}
    return change


def damaged_model(**fields):
    def change(card: dict) -> None:
        card['model'] = {**card['model'], **fields}
    return change


def endless(card: dict) -> None:
    values = [1]
    values.append(values)
    card['classes'] = values


def explosive(card: dict) -> None:
    """Thirty levels of lists that hold the next one ten times."""
    values = ['x']
    for _ in range(30):
        values = [values] * 10
    card['model'] = {'type': values}


DAMAGE = {
    'another version': (damaged(version=2), 'version of its model card is 2, this code reads 1'),
    'no version': (lambda card: card.pop('version'), 'version of its model card is of type NoneType'),
    'version of another kind': (damaged(version=torch.ones(3)), 'version of its model card is of type Tensor'),
    'missing field': (lambda card: card.pop('layout'), 'damaged.*layout'),
    'unknown field': (damaged(extra=1), 'damaged.*extra'),
    'model of another kind': (damaged(model='Recognizer'), 'damaged.*model'),
    'negative frames': (damaged(num_frames=-1), 'num_frames is -1, expected 1 to'),
    'absurd frames': (damaged(num_frames=10**9), 'num_frames is 1000000000, expected 1 to'),
    'frames of another kind': (damaged(num_frames=16.0), 'damaged.*num_frames'),
    'frames true': (damaged(num_frames=True), 'num_frames is True'),
    'no persons': (damaged(max_persons=0), 'max_persons is 0'),
    'absurd persons': (damaged(max_persons=10**9), 'max_persons is 1000000000'),
    'classes of another kind': (damaged(classes=[1, 2]), 'classes are no names'),
    'preparation of another kind': (damaged(preparation=['Centre']), 'preparation'),
    'tensor': (damaged(source=torch.zeros(1)), 'Tensor in it is no plain data'),
    'numbers as names': (damaged(model={1: 2}), 'key 1 in it is no plain data'),
    'endless list': (endless, 'no plain data'),
    'explosive list': (explosive, 'no plain data'),
    'layout without joints': (damaged_layout(joints=[]), 'layout'),
    'layout of numbers': (damaged_layout(joints=5), 'layout.joints is no list'),
    'layout of a million joints': (damaged_layout(joints=['a'] * 10**4), 'layout.joints is no list of at most 1000'),
    'bones of another kind': (damaged_layout(bones=[1, 2]), 'layout'),
    'bones to nowhere': (damaged_layout(bones=[[0, 10**9]]), 'layout'),
    'parts of another kind': (damaged_layout(parts=3), 'layout'),
    'centre of another kind': (damaged_layout(centre='pelvis'), 'layout'),
    'streams of another kind': (damaged_model(streams=7), 'model.stream'),
    'stream of another kind': (damaged_model(stream=['joint']), 'model.stream'),
    'branch of another kind': (damaged_model(branch='ActCLR'), 'model.branch is no config'),
}


@pytest.mark.parametrize('kind', DAMAGE)
def test_a_damaged_card_is_refused_in_one_line(kind):
    change, says = DAMAGE[kind]
    card = card_of().to_dict()
    change(card)
    with pytest.raises(DataError, match=says) as error:
        ModelCard.of({'meta': {CARD: card}}, 'file.pth')
    one_line(error)


HOSTILE = {
    'function': (dict(type='os.system', command='touch executed'), r"model.type .*'os.system'.*not registered"),
    'nested function': (dict(backbone=dict(type='os.system')), r"model.backbone.type .*'os.system'"),
    'class by its path': (dict(type='torch.nn.Linear', in_features=1, out_features=1), 'torch.nn.Linear'),
    'class of another project': (dict(type='mmengine.Pretrained'), 'mmengine.Pretrained'),
    'scope twice': (dict(type='mmactclr.mmactclr.Recognizer'), 'not registered'),
    'type of another kind': (dict(type=['Recognizer']), 'not registered'),
    'unknown type': (dict(backbone=dict(type='STGCM')), "'STGCM'.*not registered"),
    'transform as a model': (dict(type='RandomShear'), 'cannot be built'),
    'unknown argument': (dict(chanels=3), "cannot be built.*'chanels'"),
    'missing argument': (dict(head=dict(type='ClassificationHead')), 'cannot be built.*num_classes'),
    'argument of another kind': (dict(backbone=dict(type='STGCN', layout=LAYOUT, channels='wide')), 'cannot be built'),
    'backbone that is none': (dict(backbone='STGCN'), 'cannot be built'),
    'negative width': (dict(backbone=dict(type='STGCN', layout=LAYOUT, channels=[-4])), 'cannot be built'),
    'absurd width': (dict(backbone=dict(type='STGCN', layout=LAYOUT, channels=[10**12])), 'channels.0.*1000000000000'),
    'more than memory holds': (dict(backbone=dict(type='STGCN', layout=LAYOUT, channels=[50_000, 50_000, 8],
                                                  strided_units=[1])),
                               r'5\d(,\d{3}){3} weights and buffers, expected at most 1,073,741,824'),
    'refused by the component': (dict(stream='smell'), "cannot be built.*stream is 'smell'"),
}


@pytest.mark.parametrize('kind', HOSTILE)
def test_only_registered_components_are_built_and_refusals_take_one_line(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields, says = HOSTILE[kind]
    card = card_of()
    with pytest.raises(ConfigError, match=says) as error:
        replace(card, model={**card.model, **fields}).build('file.pth')
    one_line(error)
    assert not list(tmp_path.iterdir())


def test_a_preparation_is_of_registered_transforms_only():
    for name in ('os.system', 'STGCN'):
        with pytest.raises(ConfigError, match=f"preparation.0.type .*'{name}'"):
            card_of(preparation=[dict(type=name)]).build('file.pth')


def test_a_card_fetches_nothing(tmp_path):
    fetch = dict(type='Pretrained', checkpoint=str(tmp_path / 'elsewhere.pth'))
    card = card_of()
    model = {**card.model, 'init_cfg': fetch, 'backbone': {**card.model['backbone'], 'init_cfg': fetch}}
    built = replace(card, model=model).build('file.pth')
    built.init_weights()
    assert built.init_cfg is None and built.backbone.init_cfg is None


def test_plain_data_keeps_what_it_is():
    layout = get_layout(LAYOUT)
    config = load_config('actclr_joint_ntu60_xsub').model
    plain = as_plain(config, 'model')
    assert find_foreign(plain) is None and plain == config and type(plain['backbone']) is dict
    assert as_plain({'layout': layout, 'sizes': (1, 2)}, 'x') == {'layout': layout.to_dict(), 'sizes': (1, 2)}
    with pytest.raises(ValueError, match=r'model.loss.0 is of type Linear'):
        as_plain({'loss': [nn.Linear(1, 1)]}, 'model')


# from configs and to configs


@pytest.mark.parametrize('config, kind', [
    ('moco_joint_nwucla_xview', MoCo), ('actclr_3s_ntu60_xview', MultiStream), ('actclr_bone_ntu120_xset', MoCo)])
def test_the_card_of_a_config_builds_its_model(config, kind):
    cfg = load_config(config)
    card = card_of_config(cfg)
    assert (card.source, card.classes, card.preparation) == (config, [], None)
    assert (card.num_frames, card.max_persons) == (cfg.num_frames, cfg.max_persons)
    assert card.layout == get_layout(cfg.layout).to_dict()
    assert ModelCard.of({'meta': {CARD: card.to_dict()}}, 'x') == card
    built = card.build('x')
    assert isinstance(built, kind)
    own = {name: value.shape for name, value in MODELS.build(cfg.model).state_dict().items()}
    assert {name: value.shape for name, value in built.state_dict().items()} == own


def test_the_card_takes_the_preparation_of_the_training_data():
    steps = [dict(type='Centre'), dict(type='ResizeFrames', num_frames=24)]
    cfg = load_config('moco_joint_utdmhad_xsub', {
        'num_frames': 24, 'train_dataloader.dataset.preparation': steps})
    card = card_of_config(cfg)
    assert (card.num_frames, card.max_persons, card.preparation) == (24, 1, steps)
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.train_dataloader.dataset])
    assert card_of_config(cfg) == card


@pytest.mark.parametrize('cfg', [
    {}, {'model': None}, {'model': nn.Linear(1, 1)}, {'model': {'type': 'FeatureBaseline'}}], ids=str)
def test_models_without_joints_have_no_card(cfg):
    assert card_of_config(cfg) is None


def test_a_config_adopts_the_card():
    cfg = load_config('moco_joint_utdmhad_xsub')
    cfg.model = 'checkpoint'
    steps = [dict(type='Centre'), dict(type='ResizeFrames', num_frames=16)]
    card = card_of('ntu25', preparation=steps)
    adopt_card(cfg, card, 'file.pth')
    dataset = cfg.test_dataloader.dataset
    assert (dataset.num_frames, dataset.max_persons, dataset.preparation) == (16, 1, steps)
    assert get_layout(dataset.layout) == get_layout(cfg.model.backbone.layout) == get_layout('ntu25')
    assert cfg.test_cfg.baselines.unprepared_coordinates.preparation[0].num_frames == 16

    adopt_card(cfg, card, 'file.pth', explicit=['num_frames'])
    assert cfg.test_dataloader.dataset.num_frames == 16
    cfg.num_frames = 40
    adopt_card(cfg, card, 'file.pth', explicit=['num_frames', 'split'])
    assert cfg.test_dataloader.dataset.num_frames == cfg.test_dataloader.dataset.preparation[1].num_frames == 40
    assert card.preparation == steps and card.num_frames == 16


# weights


@pytest.fixture
def model() -> Recognizer:
    return card_of().build('file.pth')


def refusal(model, state, card=None, trained_only=True) -> str:
    with pytest.raises((ConfigError, DataError)) as error:
        check_fit(model, state, 'file.pth', trained_only, card)
    return one_line(error)


def test_weights_of_the_model_fit(model):
    check_fit(model, model.state_dict(), 'file.pth', card=card_of())
    half = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    check_fit(model, half, 'file.pth', card=card_of())


@pytest.mark.parametrize('name', ['head.fc.weight', 'backbone.data_bn.running_var'])
@pytest.mark.parametrize('number', [float('nan'), float('inf'), -float('inf')])
def test_numbers_that_are_not_finite_are_named(model, name, number):
    state = {key: value.clone() for key, value in model.state_dict().items()}
    state[name].view(-1)[-1] = number
    assert f'{name} holds numbers that are not finite' in refusal(model, state)


@pytest.mark.parametrize('change, says', [
    (lambda value: value.round().to(torch.int64), 'torch.int64, expected torch.float32'),
    (lambda value: value.to(torch.complex64), 'torch.complex64'),
    (lambda value: value > 0, 'torch.bool'),
    (lambda value: value.tolist(), 'no dense tensor .found list'),
    (lambda value: 3, 'no dense tensor .found int'),
    (lambda value: None, 'no dense tensor'),
    (lambda value: value.to_sparse(), 'no dense tensor'),
    (lambda value: value.to('meta'), 'no dense tensor')])
def test_quantities_that_are_no_weights_are_named(model, change, says):
    state = {**model.state_dict(), 'head.fc.weight': change(model.head.fc.weight.detach())}
    text = refusal(model, state)
    assert 'head.fc.weight' in text and says.replace('.found', '(found') in text


def test_integers_stay_integers(model):
    name = 'backbone.data_bn.num_batches_tracked'
    assert name in refusal(model, {**model.state_dict(), name: torch.tensor(1.5)})


def test_a_tensor_that_repeats_one_number_without_end_is_not_unrolled(model):
    huge = torch.zeros(1).expand(10 ** 12)
    assert 'another shape' in refusal(model, {**model.state_dict(), 'backbone.units.0.gcn.bias': huge})


def test_another_layout_names_both():
    other = card_of('ntu25')
    text = refusal(card_of().build('x'), other.build('x').state_dict(), other)
    assert "'ntu25' (25 joints)" in text and "'kinect20_utdmhad' (20 joints)" in text
    # as many joints, other bones: shapes say nothing
    same_size = card_of('kinect20_nwucla')
    layouts = [get_layout(name) for name in (LAYOUT, 'kinect20_nwucla')]
    assert layouts[0].num_joints == layouts[1].num_joints and layouts[0].bones != layouts[1].bones
    text = refusal(card_of().build('x'), same_size.build('x').state_dict(), same_size)
    assert "'kinect20_nwucla'" in text and "'kinect20_utdmhad'" in text


def test_without_a_card_another_layout_shows_in_the_graph():
    state = card_of('kinect20_nwucla').build('x').state_dict()
    assert 'its graph is another one (backbone.adjacency: values differ by up to' in refusal(
        card_of().build('x'), state)


@pytest.mark.parametrize('graph, says', [
    (dict(hops='full'), 'values differ'), (dict(strategy='uniform'), r'shape (1, 20, 20) instead of (3, 20, 20)')])
def test_another_graph_of_the_same_layout_is_refused(graph, says):
    other = card_of(graph=graph)
    state = other.build('x').state_dict()
    model = card_of().build('x')
    before = model.backbone.adjacency.clone()
    text = refusal(model, state, other)
    assert 'its graph is another one' in text and says in text
    assert torch.equal(model.backbone.adjacency, before)


def test_a_graph_may_be_missing_or_rounded(model):
    state = model.state_dict()
    check_fit(model, {**state, 'backbone.adjacency': state['backbone.adjacency'] + 1e-6}, 'file.pth')
    check_fit(model, {name: value for name, value in state.items() if name != 'backbone.adjacency'}, 'file.pth')


def test_another_stream_is_refused_where_the_card_tells(model):
    card = card_of(stream='motion')
    state = card.build('x').state_dict()
    text = refusal(model, state, card)
    assert 'trained on the motion stream, the model takes joint' in text
    check_fit(model, state, 'file.pth')


def test_another_number_of_classes_names_both(model):
    other = card_of(num_classes=60)
    text = refusal(model, other.build('x').state_dict(), other)
    assert 'tells 60 classes apart, the model 3; set head.num_classes' in text


def test_another_width_names_both_shapes(model):
    other = card_of(channels=(6, 8))
    assert 'another shape' in (text := refusal(model, other.build('x').state_dict(), other)) and 'units.0' in text


def test_buffers_of_another_size_are_named():
    cfg = load_config('actclr_joint_nwucla_xview')
    small = MODELS.build({**cfg.model, 'memory': dict(size=8, dim=64)}).state_dict()
    assert 'memory.keys is (8, 64) instead of (192, 64)' in refusal(MODELS.build(cfg.model), small)


def several(streams=('joint', 'motion', 'bone')) -> MultiStream:
    return MODELS.build(dict(type='MultiStream', branch=card_of().model, streams=list(streams)))


def test_one_stream_and_several_are_told_apart(model):
    all_three, single = several().state_dict(), model.state_dict()
    text = refusal(model, all_three)
    assert 'joint, motion, bone' in text and 'streams.py take CKPT joint' in text
    for card in (None, card_of()):
        text = refusal(several(), single, card)
        assert 'holds one stream' in text and 'streams.py join' in text and ('(joint)' in text) == bool(card)
    text = refusal(several(('joint', 'motion')), all_three)
    assert 'holds the streams joint, motion, bone, the model has joint, motion;' in text
    assert 'missing' in refusal(several(), {'weight': torch.zeros(1)})


# files


def test_a_folder_is_no_checkpoint(tmp_path):
    (tmp_path / 'epoch_3.pth').touch()
    with pytest.raises(DataError, match=r'is a folder; name a file in it, epoch_3\.pth'):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize('content', [
    [torch.zeros(1)], torch.zeros(1), {'state_dict': [torch.zeros(1)]}, {'state_dict': {1: torch.zeros(1)}},
    {'state_dict': {}}, {'state_dict': {'a': 1.0}}, {}], ids=str)
def test_a_file_of_other_things_holds_no_weights(tmp_path, content):
    torch.save(content, tmp_path / 'file.pth')
    with pytest.raises(DataError, match='holds no weights') as error:
        read_checkpoint(tmp_path / 'file.pth')
    one_line(error)


def test_notes_of_another_kind_are_named(tmp_path):
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': 'none'}, tmp_path / 'file.pth')
    with pytest.raises(DataError, match="'meta' is of type str") as error:
        read_checkpoint(tmp_path / 'file.pth')
    one_line(error)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize('inside', [False, True])
def test_nothing_in_a_file_is_executed(tmp_path, inside):
    path, target = tmp_path / 'file.pth', tmp_path / 'executed'
    if inside:
        torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': Payload(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(target)))
    with pytest.raises(DataError, match='cannot be read') as error:
        read_checkpoint(path)
    one_line(error)
    assert not target.exists()


def test_the_preparation_of_a_card_is_of_registered_transforms_wherever_it_is_used():
    card = ModelCard({}, get_layout('ntu25').to_dict(), preparation=[dict(type='os.system', command='true')])
    with pytest.raises(ConfigError, match='os.system.*not registered'):
        card.preparation_steps()


@pytest.mark.parametrize('address', ['http://127.0.0.1:1/a.pth', 's3://bucket/a.pth', 'torchvision://resnet'])
def test_addresses_are_not_read(address, tiny_archive, tiny_config):
    from mmactclr.apis import run_test
    with pytest.raises(ConfigError, match='is an address; download the file first'):
        run_test(tiny_config(tiny_archive), address)
