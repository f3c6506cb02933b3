"""Views are functions of seed, epoch, sequence and name; streams share their joints."""

import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.models import ContrastivePreprocessor
from mmactclr.transforms import to_stream
from mmactclr.utils import load_config

LAYOUT = 'kinect20_utdmhad'
# transforms that draw for a sample alone; mixing with a partner is looked at on its own
ALONE = [
    dict(type=name)
    for name in ('RandomTemporalCrop', 'RandomShear', 'RandomRotation', 'GaussianNoise')
]
WEAK = ALONE[:2]
VIEWS = dict(
    query=dict(joints=ALONE),
    key=dict(joints=ALONE),
    act=dict(joints=ALONE),
    non=dict(base='act', joints=[dict(type='BoneRescale')]),
)


def make_batch(n: int = 5, t: int = 16) -> dict:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    joints = torch.randn(n, 2, t, 20, 3, generator=generator).cumsum(2) * 0.1
    return dict(
        inputs=joints * mask[:, :, None, None, None],
        mask=mask,
        index=torch.arange(n) * 3 + 1,
        label=torch.zeros(n, dtype=torch.long),
        role=torch.zeros(n, dtype=torch.long),
    )


def select(batch: dict, rows: list[int]) -> dict:
    return {name: value[rows] for name, value in batch.items()}


def make(views=VIEWS, streams=('joint',), progress=(0, 0, 0, 0)) -> ContrastivePreprocessor:
    preprocessor = ContrastivePreprocessor(LAYOUT, views, streams)
    preprocessor.set_progress(*progress)
    return preprocessor


def views_of(preprocessor, batch, names=('query', 'key')):
    return preprocessor(batch, True, views=names)['inputs']


@pytest.mark.parametrize('rows', [[4, 2, 0, 1, 3], [2], [3, 1]])
def test_order_and_company_in_the_batch_do_not_matter(rows):
    batch, preprocessor = make_batch(), make()
    names = ('query', 'key', 'act', 'non')
    whole, part = (
        views_of(preprocessor, batch, names)['joint'],
        views_of(preprocessor, select(batch, rows), names)['joint'],
    )
    for name in names:
        torch.testing.assert_close(part[name], whole[name][rows], atol=1e-6, rtol=1e-6)


def test_views_depend_on_seed_epoch_sequence_and_name_alone():
    batch = make_batch()
    first = views_of(make(progress=(7, 3, 11, 0)), batch)['joint']
    torch.manual_seed(12345)
    torch.rand(10)
    again = views_of(make(progress=(7, 3, 99, 1)), batch, ('key', 'query'))['joint']
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.allclose(first['query'], first['key'])
    for other in ((8, 3, 11, 0), (7, 4, 11, 0)):
        changed = views_of(make(progress=other), batch)['joint']
        assert not torch.allclose(first['query'], changed['query'])
    moved = dict(batch, index=batch['index'] + 1)
    assert not torch.allclose(
        first['query'], views_of(make(progress=(7, 3, 11, 0)), moved)['joint']['query']
    )


def test_the_global_generator_is_neither_read_nor_moved():
    batch, names = make_batch(), ('act', 'non')
    views = load_config('actclr_joint_ntu60_xsub').model.data_preprocessor.views
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    first = views_of(make(views), batch, names)['joint']
    assert torch.equal(torch.rand(4), expected)
    second = views_of(make(views), batch, names)['joint']
    assert all(torch.equal(first[name], second[name]) for name in names)


def test_partners_of_mixing_change_with_the_iteration_and_the_rank():
    batch = make_batch()
    views = dict(
        mixed=dict(stream=[dict(type='SkeletonMix', cutmix=0.0, resizemix=0.0, mixup=1.0)])
    )
    first, again, later, elsewhere = (
        views_of(make(views, progress=progress), batch, ('mixed',))['joint']['mixed']
        for progress in ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, later) and not torch.equal(first, elsewhere)


def test_what_is_outside_the_actionlet_starts_from_the_joints_inside():
    """non is act with every bone rescaled: bone directions stay those of act, lengths do not."""
    batch, preprocessor = make_batch(), make()
    out = views_of(preprocessor, batch, ('act', 'non'))['joint']
    act, non = (to_stream(out[name], 'bone', preprocessor.layout) for name in ('act', 'non'))
    there = (act.norm(dim=-1) > 1e-4) & (non.norm(dim=-1) > 1e-4)
    assert there.float().mean() > 0.5
    cosine = torch.cosine_similarity(act, non, dim=-1)[there]
    torch.testing.assert_close(cosine, torch.ones_like(cosine), atol=1e-3, rtol=0)
    assert not torch.allclose(act, non, atol=1e-2)
    # asked for alone it is the same view
    assert torch.equal(views_of(preprocessor, batch, ('non',))['joint']['non'], out['non'])


def test_a_base_without_transforms_is_shared_exactly():
    views = dict(act=dict(joints=ALONE), non=dict(base='act'))
    out = views_of(make(views), make_batch(), ('act', 'non'))['joint']
    assert torch.equal(out['act'], out['non'])


def test_all_streams_come_from_the_same_augmented_joints():
    batch, preprocessor = make_batch(), make(streams=('joint', 'motion', 'bone'))
    out = views_of(preprocessor, batch)
    for name in ('query', 'key'):
        joints = out['joint'][name]
        motion = torch.zeros_like(joints)
        motion[:, :, :-1] = joints[:, :, 1:] - joints[:, :, :-1]
        torch.testing.assert_close(out['motion'][name], motion)
        bone = joints - joints[:, :, :, list(preprocessor.layout.parents)]
        torch.testing.assert_close(out['bone'][name], bone)
    # a stream more or less does not change the others
    alone = views_of(make(streams=('motion',)), batch)
    assert torch.equal(alone['motion']['query'], out['motion']['query'])


def test_absent_persons_stay_zero_and_masks_are_kept():
    batch = make_batch()
    views = load_config('actclr_joint_ntu60_xsub').model.data_preprocessor.views
    names = ('query', 'key', 'act', 'non')
    out = make(views, ('joint', 'motion', 'bone'))(batch, True, views=names)
    for name in names:
        assert torch.equal(out['masks'][name], batch['mask'])
        for stream in out['inputs'].values():
            assert (
                stream[name].dtype == torch.float32 and stream[name].shape == batch['inputs'].shape
            )
            assert (stream[name][~batch['mask']] == 0).all()
            assert torch.isfinite(stream[name]).all()


def test_autocast_around_it_changes_nothing():
    batch, preprocessor = make_batch(), make()
    plain = views_of(preprocessor, batch)['joint']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = views_of(preprocessor, batch)['joint']
    assert all(
        torch.equal(plain[name], inside[name]) and inside[name].dtype == torch.float32
        for name in plain
    )


def test_the_batch_itself_is_left_as_it_was():
    batch, preprocessor = make_batch(), make()
    before = batch['inputs'].clone()
    views_of(preprocessor, batch)
    assert torch.equal(batch['inputs'], before) and set(batch) == {
        'inputs',
        'mask',
        'index',
        'label',
        'role',
    }
    untouched = preprocessor(batch, False)
    assert torch.equal(untouched['inputs'], before) and torch.equal(
        untouched['index'], batch['index']
    )


@pytest.mark.parametrize(
    'views, found',
    [
        (
            dict(query=dict(joint=WEAK)),
            "view 'query' has unknown keys.*'joint'.*'joints', 'stream' and 'base'",
        ),
        (
            dict(non=dict(base='act'), key=dict(joints=WEAK)),
            "view 'non' starts from 'act', which is not a view",
        ),
        (dict(non=dict(base='non')), "starts from 'non', which starts from itself"),
        (dict(non=dict(base='act'), act=dict(base='non')), 'which starts from itself'),
    ],
)
def test_views_that_make_no_sense_are_refused(views, found):
    with pytest.raises(ConfigError, match=found):
        make(views)


def test_a_view_that_nobody_defined_is_named():
    with pytest.raises(
        ConfigError, match=r"asks for the views \['teacher'\].*'act', 'key', 'non', 'query'"
    ):
        views_of(make(), make_batch(), ('query', 'teacher'))


@pytest.mark.parametrize('training', [False, True])
def test_data_of_another_layout_is_refused(training):
    batch = make_batch()
    preprocessor = ContrastivePreprocessor('ntu25', VIEWS)
    with pytest.raises(ConfigError, match=r"\(5, 2, 16, 20, 3\).*'ntu25' with 25 joints"):
        preprocessor(batch, training, views=('query',))


def test_views_may_be_defined_in_any_order():
    """A config that was written to a file comes back with its keys sorted."""
    batch, names = make_batch(), ('act', 'non')
    given, turned = (views_of(make(dict(views)), batch, names) for views in (VIEWS.items(), reversed(VIEWS.items())))
    assert all(torch.equal(given['joint'][name], turned['joint'][name]) for name in names)


def test_a_mixed_view_tells_what_it_took_from_whom():
    mixed = dict(base='key', stream=[dict(type='SkeletonMix', cutmix=1., resizemix=0., mixup=0.)])
    batch = make_batch()
    out = make(dict(key=dict(joints=ALONE), mixed=mixed))(batch, True, views=('key', 'mixed'))
    assert set(out['mixes']) == {'mixed'}
    own, partner = out['mixes']['mixed'].own[..., None], out['mixes']['mixed'].partner
    key = out['inputs']['joint']['key']
    expected = (own * key + (1 - own) * key[partner]) * batch['mask'][:, :, None, None, None]
    torch.testing.assert_close(out['inputs']['joint']['mixed'], expected)
    assert 0 < own.mean() < 1 and (partner != torch.arange(5)).all()
    # whom the partner lacks nothing was taken from
    assert (own[~batch['mask'][partner]] == 1).all() and (~batch['mask'][partner]).any()


def test_the_epoch_of_the_stage_reaches_a_curriculum():
    phases = [dict(start=3, transforms=WEAK)]
    preprocessor, batch = make(dict(key=dict(joints=[dict(type='Curriculum', phases=phases)]))), make_batch()
    for progress, stage_epoch, same in ((5, 2, True), (5, 3, False), (5, None, False), (2, None, True)):
        preprocessor.set_progress(0, progress, 0, 0)
        view = preprocessor(batch, True, views=('key',), stage_epoch=stage_epoch)['inputs']['joint']['key']
        assert torch.equal(view, batch['inputs']) == same
