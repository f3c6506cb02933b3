"""What augmentations draw: distributions of their parameters, read back from what they did to the data."""
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from mmactclr.structures import get_layout
from mmactclr.transforms import (
    AxisMask,
    BoneRescale,
    GaussianBlur,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTemporalCrop,
    SampleRandom,
    SkeletonAdaIN,
    SkeletonMix,
    TemporalFlip,
    TimeInterpolate,
    random_partner,
    to_bone,
)

LAYOUT, N, T = get_layout('ntu25'), 2000, 50
# with fixed seeds a test is a fact; the level says how surprising that fact may be
LEVEL = 1e-3


def batch(keypoint: torch.Tensor, stream: str = 'joint') -> dict:
    """Samples with one person each."""
    n = len(keypoint)
    return dict(keypoint=keypoint, mask=torch.ones(n, 1, dtype=torch.bool), layout=LAYOUT, stream=stream,
                partner=random_partner(n, torch.Generator().manual_seed(0)),
                random=SampleRandom(3, 0, range(n), 'query'))


def matrices(transform) -> np.ndarray:
    """(N, 3, 3) what a linear transform does, read from three joints that lie on the axes around the centre."""
    others = [joint for joint in range(25) if joint != LAYOUT.centre][:3]
    keypoint = torch.zeros(N, 1, 1, 25, 3)
    keypoint[..., others, :] = torch.eye(3)
    return transform(batch(keypoint))['keypoint'][:, 0, 0, others].double().numpy()


def walks(n: int = N, t: int = T) -> torch.Tensor:
    return torch.randn(n, 1, t, 25, 3, generator=torch.Generator().manual_seed(1)).cumsum(2)


def is_uniform(values, low: float, high: float) -> bool:
    values = np.asarray(values, dtype=np.float64).ravel()
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > LEVEL


def are_even(values, known) -> bool:
    """Whether all known values come equally often, and no others."""
    values = np.asarray(values).ravel().tolist()
    counts = [values.count(value) for value in known]
    return sum(counts) == len(values) and stats.chisquare(counts).pvalue > LEVEL


def test_the_checks_notice_other_distributions():
    rng = np.random.default_rng(0)
    assert is_uniform(rng.uniform(-.5, .5, 2000), -.5, .5) and are_even(rng.integers(0, 3, 2000), range(3))
    assert not is_uniform(rng.uniform(-.5, .45, 2000), -.5, .5)
    assert not is_uniform(rng.normal(0, .2, 2000), -.5, .5)
    assert not are_even(rng.integers(0, 4, 2000), range(3))
    assert not are_even(rng.choice(3, 2000, p=[.4, .3, .3]), range(3))


def test_shear_entries_are_uniform_and_independent():
    found = matrices(RandomShear())
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2), 1, atol=1e-6)
    entries = found[:, ~np.eye(3, dtype=bool)]
    assert all(is_uniform(column, -.5, .5) for column in entries.T)
    correlation = np.corrcoef(entries.T) - np.eye(6)
    assert np.abs(correlation).max() < .1


def test_one_axis_turns_up_to_30_degrees_and_two_up_to_1():
    found = matrices(RandomRotation())
    # row vectors; about x, then y, then z
    angles = Rotation.from_matrix(found.transpose(0, 2, 1)).as_euler('xyz', degrees=True)
    assert angles.min() > -1e-3
    main = angles.argmax(1)
    clear = angles.max(1) > 1
    assert are_even(main[clear], range(3))
    large = angles[clear].max(1)
    assert is_uniform((large - 1) / 29, 0, 1) and large.max() <= 30 + 1e-3
    small = np.sort(angles[clear], 1)[:, :2]
    # the two others, in random order
    assert is_uniform(small, 0, 1)


def test_crops_start_anywhere_within_a_sixth():
    time = torch.arange(T).float().view(1, 1, T, 1, 1).expand(N, 1, T, 25, 3).contiguous()
    out = RandomTemporalCrop()(batch(time))['keypoint'][:, 0, :, 0, 0]
    # the middle frame is far from the mirrored ends
    offset = (out[:, T // 2] - T // 2).long()
    assert are_even(offset.tolist(), range(-(T // 6), T // 6 + 1))


def test_blur_widths_are_uniform():
    impulse = torch.zeros(N, 1, T, 25, 3)
    impulse[:, :, T // 2] = 1
    out = GaussianBlur(p=1.)(batch(impulse))['keypoint'][:, 0, :, 0, 0].double()
    ratio = out[:, T // 2 + 1] / out[:, T // 2]
    sigma = (-.5 / ratio.clamp_min(1e-300).log()).sqrt()
    # narrower ones underflow and leave the impulse as it is
    readable = sigma > .2
    assert readable.float().mean() == pytest.approx(1.8 / 1.9, abs=.02)
    assert is_uniform(sigma[readable], .2, 2.)


def test_each_axis_is_masked_as_often_as_the_others():
    out = AxisMask(p=.5)(batch(walks(t=2)))['keypoint'].flatten(1, 3)
    gone = (out == 0).all(1)
    assert (gone.sum(1) <= 1).all()
    assert stats.binomtest(int(gone.any(1).sum()), N, .5).pvalue > LEVEL
    assert are_even(gone[gone.any(1)].int().argmax(1), range(3))


def test_bones_shrink_by_uniform_factors():
    before = walks(t=1)
    after = BoneRescale()(batch(before))['keypoint']
    moving = [child for child, _ in LAYOUT.bones]
    lengths = [to_bone(x, LAYOUT)[:, 0, 0, moving].norm(dim=-1) for x in (before, after)]
    factor = (lengths[1] / lengths[0]).numpy()
    assert is_uniform(factor[:, ::5], 0, .5)
    assert abs(np.corrcoef(factor[:, 0], factor[:, 1])[0, 1]) < .1


def test_tempo_is_uniform_between_half_and_one_and_a_half():
    out = TimeInterpolate(p=1.)(batch(torch.ones(N, 1, T, 25, 3)))['keypoint'][:, 0, :, 0, 0]
    length = (out > 0).sum(1).numpy()
    shorter = length[length < T]
    assert stats.binomtest(len(shorter), N, .5).pvalue > LEVEL
    assert are_even(shorter, range(T // 2, T))


def test_what_may_happen_comes_with_its_probability():
    for transform in (RandomFlip(p=.3), TemporalFlip(p=.3), GaussianBlur(p=.3), SkeletonAdaIN(p=.3)):
        x = walks(t=6)
        changed = (transform(batch(x))['keypoint'] != x).flatten(1).any(1)
        assert stats.binomtest(int(changed.sum()), N, .3).pvalue > LEVEL, transform


# Skeleton Mix

def mixed(**options) -> torch.Tensor:
    return SkeletonMix(**options)(batch(walks()))['mix_mask']


def test_kinds_of_mixing_come_half_a_quarter_and_a_quarter():
    own = mixed()
    levels = own.flatten(1)
    mixup = (levels[:, :1] == levels).all(1) & (levels[:, 0] > 0) & (levels[:, 0] < 1)
    assert stats.binomtest(int(mixup.sum()), N, .25).pvalue > LEVEL
    assert is_uniform(levels[mixup, 0], 0, 1)
    # what is pasted at double speed is told by content, not by the mask; both are runs of cells
    assert ((levels[~mixup] == 0) | (levels[~mixup] == 1)).all()


def test_parts_and_cells_are_chosen_evenly():
    pasted = mixed(cutmix=1., resizemix=0., mixup=0.) == 0
    parts = torch.stack([pasted[..., list(joints)].flatten(1).any(1) for joints in LAYOUT.parts.values()], 1)
    assert are_even(parts.sum(1), (2, 3))
    # each of five parts with probability (2 + 3) / 2 / 5
    for part in parts.T:
        assert stats.binomtest(int(part.sum()), N, .5).pvalue > LEVEL
    frames = pasted.any(2)
    first, count = frames.int().argmax(1), frames.sum(1)
    assert (first % 4 == 0).all()
    cells = torch.ceil(count / 4).long()
    assert are_even(cells, (3, 4, 5))
    for number in (3, 4, 5):
        starts = (first[cells == number] // 4).tolist()
        assert are_even(starts, range(13 - number + 1))


def test_later_phases_paste_less():
    pasted = mixed(cutmix=1., resizemix=0., mixup=0., parts=(1, 2), cells=(1, 3)) == 0
    parts = torch.stack([pasted[..., list(joints)].flatten(1).any(1) for joints in LAYOUT.parts.values()], 1)
    assert are_even(parts.sum(1), (1, 2))
    assert are_even(torch.ceil(pasted.any(2).sum(1) / 4).long(), (1, 2, 3))
