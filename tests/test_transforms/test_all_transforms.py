"""What holds for every registered transform of skeletons, those of the next author included."""
import pytest
import torch
from mmengine.registry import DefaultScope

import mmactclr.transforms  # noqa: F401  (registers)
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import TRANSFORMS
from mmactclr.transforms import (
    RandomFlip,
    SampleRandom,
    SkeletonTransform,
    build_transforms,
    run_transforms,
)

NAMES = sorted(name for name, cls in TRANSFORMS.module_dict.items()
               if issubclass(cls, SkeletonTransform))
USE_PARTNER = ('SkeletonAdaIN', 'SkeletonMix')
INDEPENDENT_PERSONS = ('GaussianNoise',)
DATA = [('ntu25', 3), ('kinect20_utdmhad', 3), ('kinect20_nwucla', 3), ('h36m17', 3), ('coco17', 2),
        ('openpose18', 2)]

every_transform = pytest.mark.parametrize('name', NAMES)


# what a transform without defaults needs
ARGUMENTS = {'Curriculum': dict(phases=[dict(start=0, transforms=[dict(type='RandomShear')])]),
             'OneOf': dict(transforms=[dict(type='RandomShear'), dict(type='RandomRotation')])}


def build(name):
    return build_transforms([dict(type=name, **ARGUMENTS.get(name, {}))])[0]


def test_the_registry_is_not_empty():
    assert len(NAMES) >= 19


@every_transform
@pytest.mark.parametrize('layout, channels', DATA)
def test_shape_finite_absent_and_inputs_untouched(name, layout, channels, make_batch):
    batch = make_batch(layout, channels=channels)
    before = {k: v.clone() for k, v in batch.items() if isinstance(v, torch.Tensor)}
    keys = set(batch)
    out = build(name)(batch)
    x = out['keypoint']
    assert x.shape == before['keypoint'].shape and x.dtype == torch.float32
    assert x.isfinite().all()
    assert (x[~batch['mask']] == 0).all()
    assert x[batch['mask']].flatten(1).any(1).all()
    assert set(batch) == keys
    for key, value in before.items():
        assert torch.equal(batch[key], value), f'{key} was changed in place'


@every_transform
def test_a_sample_does_not_depend_on_the_rest_of_the_batch(name, make_batch):
    batch = make_batch()
    whole = build(name)(batch)['keypoint']
    rows = [3, 2]  # partners of each other
    part = dict(keypoint=batch['keypoint'][rows], mask=batch['mask'][rows], layout=batch['layout'],
                partner=torch.tensor([1, 0]), random=SampleRandom(0, 0, rows, 'query'))
    torch.testing.assert_close(build(name)(part)['keypoint'], whole[rows], rtol=1e-5, atol=1e-5)


class CountingRandom(SampleRandom):
    """Notes whether anybody asked."""

    asked = 0

    def _fill(self, *args):
        self.asked += 1
        return super()._fill(*args)


@every_transform
@pytest.mark.parametrize('other', [dict(seed=1), dict(epoch=1), dict(index=range(100, 108)), dict(view='key')],
                         ids=['seed', 'epoch', 'index', 'view'])
def test_same_key_same_result_other_key_other_result(name, other, make_batch):
    batch, key = make_batch(n=8), dict(seed=0, epoch=0, index=range(8), view='query')
    transform, results = build(name), []
    for changed in ({}, {}, other):
        random = CountingRandom(**{**key, **changed})
        results.append(transform({**batch, 'random': random})['keypoint'])
    assert torch.equal(results[0], results[1])
    # SkeletonAdaIN draws whether to apply, at the default always
    decided = name == 'SkeletonAdaIN' or not random.asked
    assert torch.equal(results[0], results[2]) == decided


@every_transform
def test_persons_of_a_sample_share_the_draw(name, make_batch):
    if name in INDEPENDENT_PERSONS:
        pytest.skip('noise is independent in every coordinate')
    batch = make_batch(absent=False)
    batch['keypoint'] = batch['keypoint'][:, :1].repeat(1, 2, 1, 1, 1)
    x = build(name)(batch)['keypoint']
    torch.testing.assert_close(x[:, 0], x[:, 1])


@every_transform
def test_one_frame_and_one_sample(name, make_batch):
    batch = make_batch(n=1, t=1)
    batch['partner'] = torch.tensor([0])
    assert build(name)(batch)['keypoint'].isfinite().all()


@every_transform
def test_autocast_does_not_reach_inside(name, make_batch):
    plain = build(name)(make_batch())['keypoint']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = build(name)(make_batch())['keypoint']
    assert inside.dtype == torch.float32 and torch.equal(inside, plain)


@every_transform
def test_double_precision_is_kept_and_agrees(name, make_batch):
    single = build(name)(make_batch())['keypoint']
    double = build(name)(make_batch(dtype=torch.float64))['keypoint']
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float(), rtol=1e-3, atol=1e-3)


@every_transform
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_the_device_does_not_change_the_result(name, make_batch):
    batch = make_batch()
    there = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in make_batch().items()}
    out = build(name)(there)['keypoint']
    assert out.is_cuda
    torch.testing.assert_close(out.cpu(), build(name)(batch)['keypoint'], rtol=1e-4, atol=1e-4)


@every_transform
def test_without_generators_the_global_one_is_used(name, make_batch):
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        batch = make_batch()
        del batch['random']
        results.append(build(name)(batch)['keypoint'])
    assert torch.equal(*results)


@every_transform
@pytest.mark.parametrize('key', ['keypoint', 'mask', 'layout'])
def test_a_missing_key_is_named(name, key, make_batch):
    batch = make_batch()
    del batch[key]
    with pytest.raises(ConfigError, match=f"{name}: '{key}' is missing"):
        build(name)(batch)


@pytest.mark.parametrize('name', USE_PARTNER)
def test_a_missing_partner_is_named(name, make_batch):
    batch = make_batch()
    del batch['partner']
    with pytest.raises(ConfigError, match=f"{name}: 'partner' is missing"):
        build(name)(batch)


@pytest.mark.parametrize('change, message', [
    (dict(keypoint=torch.zeros(6, 2, 50, 75)), 'expected float32'),
    (dict(keypoint=torch.zeros(6, 2, 50, 25, 3, dtype=torch.int64)), 'expected float32'),
    (dict(mask=torch.ones(6, dtype=torch.bool)), r'expected \(N, M\)'),
    (dict(keypoint=torch.zeros(6, 2, 50, 17, 3)), "17 joints, layout 'ntu25' has 25"),
])
def test_what_does_not_fit_is_named(change, message, make_batch):
    with pytest.raises(DataError, match=message):
        build('RandomShear')({**make_batch(), **change})


@pytest.mark.parametrize('name', [n for n in NAMES if TRANSFORMS.get(n).joints_only])
def test_joints_only_transforms_refuse_streams(name, make_batch):
    with pytest.raises(ConfigError, match="found the 'bone' stream"):
        build(name)({**make_batch(), 'stream': 'bone'})


def test_pipelines_build_under_a_foreign_default_scope(make_batch):
    # mmcv has a RandomFlip of images in the scope that a bare name would be looked up in
    with DefaultScope.overwrite_default_scope('mmengine'):
        steps = build_transforms([dict(type='RandomFlip', p=1.), RandomFlip(p=1.)])
    batch = make_batch()
    assert repr(steps[0]) == 'RandomFlip(p=1.0)'
    assert torch.equal(run_transforms(steps, batch)['keypoint'], batch['keypoint'])
