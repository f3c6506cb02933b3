"""What the transforms draw, read back from their output, against the distributions of the method.

Every transform meets a sequence made so that its parameters can be read off: a ramp shows where a frame came from, an
impulse the kernel, joints at unit vectors the matrix, bones of length one the factors. Seeds are fixed, so the p-values
are too.
"""
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from mmactclr.structures.layouts import get_layout
from mmactclr.transforms import (
    AxisMask,
    BoneJitter,
    BoneRescale,
    GaussianBlur,
    GaussianNoise,
    PostureJitter,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomTemporalCrop,
    RandomWindow,
    SampleRandom,
    SkeletonAdaIN,
    SkeletonMix,
    TemporalFlip,
    TimeInterpolate,
    from_bone,
)

N, T = 4000, 50
NTU, FLAT = get_layout('ntu25'), get_layout('coco17')
# right draws hardly ever fall below it, whatever a new numpy draws; wrong ones miss it by far at this N
LEAST_P = 1e-5
# correlation of N independent pairs has the standard deviation N^-1/2
MOST_CORRELATION = 4.5 * N**-.5
CUTMIX = dict(cutmix=1., resizemix=0., mixup=0.)
RESIZEMIX = dict(cutmix=0., resizemix=1., mixup=0.)


def batch_of(sequence, layout, seed=0, epoch=0, index=range(N), view='act'):
    """One person's ``sequence`` (T, V, C) as every sample; partners are neighbours."""
    n = len(index)
    return dict(keypoint=sequence.expand(n, 1, *sequence.shape), mask=torch.ones(n, 1, dtype=torch.bool), layout=layout,
                partner=torch.arange(n).roll(1), random=SampleRandom(seed, epoch, index, view))


def outputs(transform, sequence, layout, **key):
    """What becomes of ``sequence``, (N, T, V, C) float64."""
    return transform(batch_of(sequence, layout, **key))['keypoint'][:, 0].double()


def ramp():
    """Every coordinate is the number of its frame, from one: zero is left to padding."""
    return torch.arange(1., T + 1).view(T, 1, 1).expand(T, FLAT.num_joints, 2)


def impulse():
    """All zero but the middle frame."""
    return (torch.arange(T) == T // 2).float().view(T, 1, 1).expand(T, FLAT.num_joints, 2)


def unit_bones():
    """One frame in which every bone is one long, along x."""
    bones = torch.zeros(NTU.num_joints, 3)
    bones[[child for child, _ in NTU.bones], 0] = 1
    return from_bone(bones, NTU)[None]


def axes_of(layout, channels):
    """One frame with joints at the unit vectors, and which joints these are."""
    joints = [joint for joint in range(layout.num_joints) if joint != layout.centre][:channels]
    frame = torch.zeros(1, layout.num_joints, channels)
    frame[0, joints] = torch.eye(channels)
    return frame, joints


def matrices(transform, layout=NTU, channels=3, **key):
    """The matrix that acts on row vectors in every sample, (N, C, C)."""
    frame, joints = axes_of(layout, channels)
    return outputs(transform, frame, layout, **key)[:, 0, joints].numpy()


def bones_after(transform):
    """Bones of every sample, (N, bones, C)."""
    joints = outputs(transform, unit_bones(), NTU)[:, 0]
    children, parents = zip(*NTU.bones, strict=True)
    return (joints[:, list(children)] - joints[:, list(parents)]).numpy()


def assert_distributed(values, distribution):
    """Kolmogorov-Smirnov test of ``values`` (N, ...) or (N,): of all of them, and of each column."""
    values = np.asarray(values).reshape(len(values), -1)
    for column in [values.ravel(), *values.T]:
        assert stats.kstest(column, distribution).pvalue > LEAST_P


def assert_uniform(values, low, high):
    """The shape, and both ends of the range: the extremes show a bound that is a percent off, the shape does not."""
    assert_distributed(values, stats.uniform(low, high - low).cdf)
    values = np.asarray(values)
    # (1 - x)^n = LEAST_P: as near as that the extremes come to the ends
    near = (high - low) * -np.log(LEAST_P) / values.size
    assert values.min() == pytest.approx(low, abs=near)
    assert values.max() == pytest.approx(high, abs=near)


def assert_equally_often(values, expected):
    """Chi-square test: ``values`` takes each of ``expected`` equally often and nothing else."""
    found, counts = np.unique(np.asarray(values), return_counts=True)
    assert found.tolist() == list(expected)
    assert stats.chisquare(counts).pvalue > LEAST_P


def assert_uncorrelated(columns):
    """No two columns of (N, K) correlate."""
    off = np.corrcoef(columns, rowvar=False)[np.triu_indices(columns.shape[1], 1)]
    assert np.abs(off).max() < MOST_CORRELATION


@pytest.mark.parametrize('layout, channels', [(NTU, 3), (FLAT, 2)], ids=['ntu25', 'coco17'])
def test_shear_entries_are_uniform_and_independent(layout, channels):
    entries = matrices(RandomShear(), layout, channels)[:, ~np.eye(channels, dtype=bool)]
    assert_uniform(entries, -.5, .5)
    assert_uncorrelated(entries)


def rotation_angles(transform):
    matrix = Rotation.from_matrix(matrices(transform).transpose(0, 2, 1))
    return matrix.as_euler('xyz', degrees=True)


def test_rotation_turns_each_axis_equally_often_by_a_uniform_angle():
    angles = rotation_angles(RandomRotation(max_other=0.))
    axis = np.abs(angles).argmax(1)
    assert_equally_often(axis, range(3))
    for each in range(3):
        assert_uniform(angles[axis == each, each], 0, 30)
    # float32 leaves 1e-6 degrees of the two others
    assert np.abs(np.sort(angles, 1)[:, :2]).max() < 1e-3


def test_rotation_turns_the_other_axes_by_up_to_a_degree():
    angles = rotation_angles(RandomRotation())
    for each in angles.T:
        # the drawn axis one time in three, another one two times in three
        assert_distributed(each, lambda x: stats.uniform(0, 30).cdf(x) / 3 + stats.uniform(0, 1).cdf(x) * 2 / 3)
    ordered = np.sort(angles[angles.max(1) > 1], 1)
    assert_uniform(ordered[:, 2], 1, 30)
    assert_uniform(ordered[:, :2].ravel(), 0, 1)
    assert abs(np.corrcoef(ordered[:, 2], ordered[:, :2].sum(1))[0, 1]) < MOST_CORRELATION


def test_flat_data_turn_by_the_angle_of_the_drawn_axis():
    matrix = matrices(RandomRotation(), FLAT, 2)
    assert_uniform(np.degrees(np.arctan2(matrix[:, 0, 1], matrix[:, 0, 0])), 0, 30)


@pytest.mark.parametrize('transform, std', [(GaussianNoise(p=1.), .01), (GaussianNoise(.05, p=1.), .05)])
def test_noise_is_normal_with_one_std_for_all_samples(transform, std):
    noise = outputs(transform, torch.zeros(2, NTU.num_joints, 3), NTU).flatten(1).numpy() / std
    assert_distributed(noise[:, ::10], stats.norm.cdf)
    # the spread of the spreads tells a constant std from a drawn one
    assert_distributed((noise**2).sum(1), stats.chi2(noise.shape[1]).cdf)


@pytest.mark.parametrize('normalise', [True, False])
def test_blur_widths_are_uniform(normalise):
    response = outputs(GaussianBlur(normalise=normalise), impulse(), FLAT)[:, :, 0, 0].numpy()
    # of exp(-d² / 2 sigma²), the ratio of the first neighbour to the middle; the gain cancels
    ratio = response[:, T // 2 + 1] / response[:, T // 2]
    # those that are not picked keep the impulse; the narrowest kernel leaves 1e-22 of it beside
    sigma = np.sqrt(-.5 / np.log(ratio[ratio > 0]))
    assert_uniform(sigma, .1, 2)


def test_axis_mask_removes_each_axis_equally_often():
    out = outputs(AxisMask(), torch.ones(1, NTU.num_joints, 3), NTU)
    assert_equally_often((out == 0).flatten(1, 2).all(1).nonzero()[:, 1], range(3))


@pytest.mark.parametrize('transform, low, high', [(BoneRescale(), 0, .5), (BoneJitter(), .75, 1.25)])
def test_bone_factors_are_uniform_and_independent(transform, low, high):
    factor = bones_after(transform)[..., 0]
    assert_uniform(factor, low, high)
    assert_uncorrelated(factor)


def test_posture_offsets_are_normal():
    scale = .1
    bones = bones_after(PostureJitter(scale))
    for other in (1, 2):
        # o_y / (1 + o_x) <= r is o_y - r·o_x <= r, a normal of variance 1 + r²: the sine of the lean is normal
        sine = bones[..., other] / np.hypot(bones[..., 0], bones[..., other])
        assert_distributed(sine / scale, stats.norm.cdf)
        assert_uncorrelated(sine)


def test_crop_offsets_are_equally_likely():
    middle = outputs(RandomTemporalCrop(), ramp(), FLAT)[:, T // 2, 0, 0]
    # T // 6 = 8 frames of padding at either end
    assert_equally_often(middle - (T // 2 + 1), range(-8, 9))


def test_window_shares_and_starts_are_uniform():
    out = outputs(RandomWindow(), ramp(), FLAT)[:, :, 0, 0]
    # frames T/2 and T/2 + 1 are never clamped
    share = out[:, T // 2 + 1] - out[:, T // 2]
    start = out[:, T // 2] - .5 - (T // 2 + .5) * share
    assert_uniform(share, .4, 1)
    # of the longest windows, float32 cannot tell where in the little room they start
    roomy = share < .98
    place = (start / (T * (1 - share)))[roomy].numpy()
    assert_uniform(place, 0, 1)
    assert abs(np.corrcoef(place, share[roomy])[0, 1]) < MOST_CORRELATION


def test_lengths_of_interpolation_are_equally_likely():
    out = outputs(TimeInterpolate(), ramp(), FLAT)[:, :, 0, 0]
    # frames 10 and 11 are clamped at no length; the slope is T / length
    length = T / (out[:, 11] - out[:, 10])
    assert (length - length.round()).abs().max() < 1e-2
    # T is also the length of those that are not picked
    others = [each for each in range(T // 2, T * 3 // 2) if each != T]
    assert_equally_often(length.round()[length.round() != T], others)
    assert torch.equal((out != 0).sum(1), length.round().clamp_max(T).long())


def mix_mask(transform):
    """Share of own content, (N, T, V)."""
    return transform(batch_of(ramp(), FLAT))['mix_mask'].numpy()


def test_kinds_of_mixing_come_with_their_probabilities_and_mixup_with_uniform_weights():
    batch = batch_of(ramp(), FLAT)
    batch['keypoint'] = batch['keypoint'] * (1 + torch.arange(N).view(-1, 1, 1, 1, 1) % 2)
    out = SkeletonMix()(batch)
    own, other = out['mix_mask'], batch['keypoint'][batch['partner']]
    mixup = ((own > 0) & (own < 1)).flatten(1).all(1)
    pasted = (own == 0)[:, None, :, :, None]
    cutmix = ((out['keypoint'] == other) | ~pasted).flatten(1).all(1) & ~mixup
    counts = torch.stack([cutmix, ~cutmix & ~mixup, mixup]).sum(1).tolist()
    assert stats.chisquare(counts, [.5 * N, .25 * N, .25 * N]).pvalue > LEAST_P
    assert_uniform(own[mixup][:, 0, 0], 0, 1)


@pytest.mark.parametrize('parts, cells', [((2, 3), (3, 5)), ((1, 2), (1, 3))], ids=['default', 'late release'])
@pytest.mark.parametrize('kind', [CUTMIX, RESIZEMIX], ids=['cutmix', 'resizemix'])
def test_parts_and_cells_of_mixing_are_equally_likely(kind, parts, cells):
    pasted = mix_mask(SkeletonMix(**kind, parts=parts, cells=cells)) == 0
    frames, joints = pasted.any(2), pasted.any(1)
    # sets of parts as bits, read from the joints of the layout
    chosen = sum(joints[:, list(members)].all(1).astype(int) << i for i, members in enumerate(FLAT.parts.values()))
    num_parts = np.array([bin(each).count('1') for each in range(2**5)])[chosen]
    assert_equally_often(num_parts, range(parts[0], parts[1] + 1))
    for count in range(parts[0], parts[1] + 1):
        every = sorted(sum(1 << part for part in some) for some in combinations(range(5), count))
        assert_equally_often(chosen[num_parts == count], every)

    # 50 frames are 13 cells of four, the last one with two frames
    num_cells, first = frames[:, ::4].sum(1), frames.argmax(1) // 4
    assert_equally_often(num_cells, range(cells[0], cells[1] + 1))
    for count in range(cells[0], cells[1] + 1):
        assert_equally_often(first[num_cells == count], range(13 - count + 1))
    assert stats.chi2_contingency(stats.contingency.crosstab(num_parts, num_cells).count).pvalue > LEAST_P


# transforms of a probability, set up so that being picked always shows
DECIDING = {
    'RandomFlip': RandomFlip, 'GaussianNoise': GaussianNoise, 'AxisMask': AxisMask, 'TemporalFlip': TemporalFlip,
    'SkeletonAdaIN': SkeletonAdaIN,
    # a narrow kernel is a spike, and a length of T leaves everything as it is
    'GaussianBlur': lambda **p: GaussianBlur(sigma=(1., 2.), **p),
    'TimeInterpolate': lambda **p: TimeInterpolate(low=.5, high=.8, **p)}


def changes(transform, batch):
    """The batch after ``transform``, and which samples it changed, (N,) bool."""
    out = transform(batch)
    return out, (out['keypoint'] != batch['keypoint']).flatten(1).any(1).numpy()


@pytest.fixture
def varied(make_batch):
    """Random samples of a few frames, and generators of their own."""
    return {**make_batch(n=N, t=6, absent=False), 'random': SampleRandom(0, 0, range(N), 'act')}


@pytest.mark.parametrize('name', DECIDING)
@pytest.mark.parametrize('p', [0., .2, 1., None], ids=['never', 'fifth', 'always', 'default'])
def test_probabilities_are_kept_sample_by_sample(name, p, varied):
    _, changed = changes(DECIDING[name](**({} if p is None else dict(p=p))), varied)
    expected = p if p is not None else 1. if name == 'SkeletonAdaIN' else .5
    assert stats.binomtest(int(changed.sum()), N, expected).pvalue > LEAST_P


def test_steps_of_a_pipeline_decide_independently(varied):
    decisions = []
    for name in ('RandomFlip', 'GaussianNoise', 'GaussianBlur', 'AxisMask', 'TemporalFlip', 'TimeInterpolate'):
        varied, changed = changes(DECIDING[name](p=.5), varied)
        decisions.append(changed)
    # all 64 combinations are equally likely
    assert_equally_often(sum(changed.astype(int) << i for i, changed in enumerate(decisions)), range(64))


@pytest.mark.parametrize('other', [dict(seed=1), dict(epoch=1), dict(view='non'), dict(index=range(1, N + 1))],
                         ids=['seed', 'epoch', 'view', 'neighbour'])
def test_draws_under_another_key_are_independent(other):
    first, second = (matrices(RandomShear(), **key)[:, ~np.eye(3, dtype=bool)] for key in ({}, other))
    assert_uncorrelated(np.concatenate([first, second], 1))


def test_one_sample_draws_the_same_distribution_over_the_epochs():
    entries = np.concatenate([matrices(RandomShear(), epoch=epoch, index=[17]) for epoch in range(2000)])
    entries = entries[:, ~np.eye(3, dtype=bool)]
    assert_uniform(entries, -.5, .5)
    assert np.abs([np.corrcoef(each[1:], each[:-1])[0, 1] for each in entries.T]).max() < 4.5 * 2000**-.5
