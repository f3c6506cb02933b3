"""Models out of checkpoints, and the actionlets they find."""
import numpy as np
import pytest
import torch

from mmactclr.apis import find_actionlets, init_model
from mmactclr.errors import ConfigError, DataError
from mmactclr.models import FeatureBaseline
from mmactclr.registry import DATASETS


@pytest.fixture(scope='module')
def cfg(tiny_archive, tiny_config):
    return tiny_config(tiny_archive)


@pytest.fixture(scope='module')
def dataset(cfg):
    return DATASETS.build(dict(cfg.test_dataloader.dataset, subset='test'))


@pytest.fixture(scope='module')
def model(cfg, dataset):
    """Untrained, with the anchor that a run would have computed."""
    model = init_model(cfg)
    model.anchor.copy_(torch.from_numpy(dataset.prepared).mean(0))
    model.anchor_ready.fill_(True)
    return model


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, path)
    return path


def test_a_checkpoint_gives_back_the_model_in_eval_mode(cfg, model, dataset, checkpoint):
    loaded = init_model(cfg, checkpoint)
    assert not any(module.training for module in loaded.modules())
    batch = dataset.__getitems__([0, 4])
    for point, value in model.extract(batch['inputs'], batch['mask']).items():
        assert torch.equal(loaded.extract(batch['inputs'], batch['mask'])[point], value)


def test_missing_checkpoint_names_its_neighbours(cfg, checkpoint):
    with pytest.raises(DataError, match=r'epoch_1\.pth'):
        init_model(cfg, checkpoint.with_name('epoch_2.pth'))


def test_damaged_checkpoint(cfg, checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(DataError, match='cannot be read'):
        init_model(cfg, checkpoint)


@pytest.mark.parametrize('change', ['backbone', 'projector'])
def test_a_checkpoint_without_part_of_the_model(cfg, model, tmp_path, change):
    state = {k: v for k, v in model.state_dict().items() if not k.startswith(f'{change}.')}
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(ConfigError, match=f'does not fit.*missing.*{change}'):
        init_model(cfg, tmp_path / 'a.pth')


@pytest.mark.parametrize('config', ['actclr_joint_ntu60_xsub', 'actclr_3s_ntu60_xsub'])
def test_a_checkpoint_of_the_online_encoder_alone(tiny_config, tiny_archive, tmp_path, config, monkeypatch):
    cfg = tiny_config(tiny_archive, config)
    torch.manual_seed(5)
    state = init_model(cfg).state_dict()
    torch.save({'state_dict': {k: v for k, v in state.items() if '_k.' not in k}}, tmp_path / 'a.pth')
    torch.manual_seed(6)
    said = []
    monkeypatch.setattr('mmactclr.apis.inference.print_log', lambda text, **_: said.append(text))
    loaded = init_model(cfg, tmp_path / 'a.pth')
    assert len(said) == len(loaded.branches()) and all('copied from the online encoder' in text for text in said)
    loaded = loaded.state_dict()
    assert all(torch.equal(value, state[name.replace('_k.', '.')]) for name, value in loaded.items() if '_k.' in name)
    assert all(torch.equal(value, state[name]) for name, value in loaded.items())


def test_a_checkpoint_of_another_layout(tiny_config, tiny_archive, checkpoint):
    other = tiny_config(tiny_archive, layout='ntu25')
    with pytest.raises(ConfigError, match='does not fit'):
        init_model(other, checkpoint)


def test_a_checkpoint_of_another_number_of_frames(tiny_config, tiny_archive, checkpoint):
    other = tiny_config(tiny_archive, num_frames=12)
    with pytest.raises(ConfigError, match='anchor.*num_frames'):
        init_model(other, checkpoint)


def test_a_config_without_a_model():
    with pytest.raises(ConfigError, match="'model' is missing"):
        init_model('configs/_base_/default_runtime.py')


def test_one_sequence_of_each_class_and_a_row_for_each_person(model, dataset):
    found = find_actionlets(model, dataset, num=10)
    labels, first = np.unique(dataset.labels, return_index=True)
    batch = dataset.__getitems__(first.tolist())
    titles = []
    for label, mask in zip(labels, batch['mask'], strict=True):
        name = dataset.metainfo['classes'][label]
        titles += [f'{name}, person 1', f'{name}, person 2'] if mask.sum() == 2 else [name]
    assert [example.title for example in found] == titles
    expected = model.actionlet(batch['inputs'], batch['mask'])
    np.testing.assert_allclose(found[0].actionlet, expected[0, 0])
    np.testing.assert_array_equal(found[0].joints, batch['inputs'][0, 0])
    assert all(example.actionlet.max() > 0 for example in found)


def test_fewer_classes_are_spread_over_all(model, dataset):
    found = find_actionlets(model, dataset, num=2)
    classes = dataset.metainfo['classes']
    assert {example.title.split(',')[0] for example in found} == {classes[0], classes[-1]}


def test_no_actionlets_without_a_number_an_anchor_or_a_method_that_has_them(
        cfg, model, dataset):
    with pytest.raises(ConfigError, match='expected 1 or more'):
        find_actionlets(model, dataset, num=0)
    with pytest.raises(ConfigError, match='StaticAnchorHook'):
        find_actionlets(init_model(cfg), dataset)
    with pytest.raises(ConfigError, match='FeatureBaseline has no encoder'):
        find_actionlets(FeatureBaseline(dict(type='RawCoordinates')), dataset)


def test_the_first_stream_of_several_speaks(tiny_config, tiny_archive, dataset):
    cfg = tiny_config(tiny_archive, 'actclr_3s_ntu60_xsub')
    streams = init_model(cfg)
    for branch in streams.branches().values():
        branch.anchor.copy_(torch.from_numpy(dataset.prepared).mean(0))
        branch.anchor_ready.fill_(True)
    joint = find_actionlets(streams.branches()['joint'], dataset, 3)
    for a, b in zip(find_actionlets(streams, dataset, 3), joint, strict=True):
        np.testing.assert_array_equal(a.actionlet, b.actionlet)


def test_a_key_encoder_of_another_shape_is_one_line(cfg, model, tmp_path):
    state = dict(model.state_dict())
    name = next(name for name in state if name.startswith('backbone_k.') and name.endswith('gcn.weight'))
    state[name] = torch.zeros(3, 3)
    torch.save({'state_dict': state}, tmp_path / 'a.pth')
    with pytest.raises(ConfigError, match=rf'does not fit.*{name}'):
        init_model(cfg, tmp_path / 'a.pth')


def test_what_a_newcomer_tries_first_is_answered(tmp_path):
    torch.save({'encoder_q.A': torch.zeros(3, 25, 25)}, tmp_path / 'public.pt')
    with pytest.raises(ConfigError, match='official_to_mmactclr.py'):
        init_model(checkpoint=tmp_path / 'public.pt')
    with pytest.raises(ConfigError, match='init_model\\(checkpoint=...\\)'):
        init_model(tmp_path / 'public.pt')
    with pytest.raises(ConfigError, match="device 'cuda:99' cannot be used"):
        init_model('moco_joint_synthetic_xsub', device='cuda:99')
