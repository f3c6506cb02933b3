"""What the parts do, without mmactclr's tools; how they work together is a matter of training a config."""
import json

import numpy as np
import pytest
import torch
from mmactclr.datasets.converters import find_files
from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS, MODELS
from mmactclr.structures import get_layout
from mmactclr.transforms import SampleRandom, build_transforms
from mmactclr.utils import load_config

from myplugin.converter import read_take
from myplugin.method import distance


def test_backbone_keeps_the_joints_and_mixes_them():
    backbone = MODELS.build(dict(type='JointAttention', channels=8, heads=2)).eval()
    x = torch.randn(3, 3, 16, 25, requires_grad=True)
    out = backbone(x)
    assert out.shape == (3, 8, 4, 25)
    # one joint of one person looks at all joints of that person, and at nobody else
    out[1, :, :, 0].sum().backward()
    reached = x.grad.abs().amax((1, 2)) > 0
    assert reached[1].all() and not reached[[0, 2]].any()


def sway(index, amplitude):
    [transform] = build_transforms([dict(type='Sway', amplitude=amplitude)])
    return transform(dict(keypoint=torch.ones(len(index), 2, 9, 25, 3), layout=get_layout('ntu25'),
                          mask=torch.tensor([[True, False]] * len(index)), random=SampleRandom(0, 0, index, 'view'))
                     )['keypoint']


def test_sway_moves_every_sample_by_its_own_sine():
    both, second = sway([0, 1], 0.5), sway([1], 0.5)
    torch.testing.assert_close(both[1], second[0])
    moved = both[:, 0, ..., 0] - 1
    assert (moved == moved[..., :1]).all() and 0 < moved.abs().max() <= 0.5
    assert not torch.allclose(moved[0], moved[1])
    # y and z stay, absent persons stay zero, and nothing moves at amplitude 0
    assert (both[:, 0, ..., 1:] == 1).all() and (both[:, 1] == 0).all() and (sway([3], 0)[:, 0] == 1).all()


@pytest.fixture
def takes(tmp_path):
    """Two classes by two subjects, and the frames that were written."""
    rng = np.random.default_rng(0)
    written = {}
    for name in ('nod', 'wave'):
        for subject in ('anna', 'ben'):
            frames = written[f'{subject}_{name}'] = rng.normal(size=(6, 25, 3)).astype(np.float32)
            take = {'class': name, 'subject': subject, 'frames': frames.tolist()}
            (tmp_path / f'{subject}_{name}.json').write_text(json.dumps(take))
    return tmp_path, written


def test_converter_writes_what_the_files_hold(takes, tmp_path_factory):
    folder, written = takes
    archive = CONVERTERS.build(dict(type='takejson')).convert(
        folder, tmp_path_factory.mktemp('out') / 'archive', workers=1, test_subjects=['ben'])
    assert archive.classes == ('nod', 'wave') and len(archive) == 4
    for i, name in enumerate(archive.column('name')):
        np.testing.assert_array_equal(archive.sequence(i)[0], written[name])
        assert archive.column('split_xsub')[i] == ('test' if name.startswith('ben') else 'train')


def test_converter_names_a_damaged_file(tmp_path):
    (tmp_path / 'bad.json').write_text('{"class": "nod", "subject": "anna", "frames": [[[1, 2, 3]]]}')
    with pytest.raises(DataError, match=r'bad\.json.*expected \(T, 25, 3\)'):
        read_take(find_files(tmp_path, '*.json')[0])


def test_distance_is_the_negative_cosine_and_leaves_the_target_alone():
    predicted = torch.tensor([[3., 0.], [0., 2.]], requires_grad=True)
    target = torch.tensor([[1., 0.], [1., 1.]], requires_grad=True)
    loss = distance(predicted, target)
    loss.backward()
    assert loss.item() == pytest.approx(-(1 + 0.5 ** 0.5) / 2)
    assert target.grad is None and predicted.grad.abs().sum() > 0


@pytest.mark.parametrize('name', ['actclr_joint_takes_xsub', 'simsiam_joint_takes_xsub'])
def test_configs_are_found_by_name_and_build(name):
    model = MODELS.build(load_config(name).model)
    keypoint, mask = torch.randn(2, 1, 32, 25, 3), torch.ones(2, 1, dtype=torch.bool)
    assert model.eval().extract(keypoint, mask)['backbone'].shape == (2, 64)
