"""The limb that a class is named after, and how often a weight of joints finds it."""
import numpy as np
import pytest
import torch

from mmactclr.evaluation import limb_scores, mirrored_limbs, motion_energy, named_limbs
from mmactclr.structures import get_layout
from mmactclr.transforms import mirror, prepare

LAYOUT = get_layout('ntu25')


@pytest.mark.parametrize(('name', 'limbs'), [
    ('right hand draw circle (clockwise)', ('right_arm',)), ('bowling (right hand)', ('right_arm',)),
    ('forward lunge (left foot forward)', ('left_leg',)), ('two hand push', ('right_arm', 'left_arm')),
    ('cross arms in the chest', ('right_arm', 'left_arm')), ('Both feet jump', ('right_leg', 'left_leg')),
    ('baseball swing from right', ()), ('walking in place', ()), ('handshaking', ()), ('draw triangle', ())])
def test_names(name, limbs):
    assert named_limbs(name) == limbs


def test_the_highest_mean_counts_class_by_class():
    weight = torch.zeros(6, 2, 3, 25)
    parts_of = [('right_arm',), ('left_arm',), ('left_leg',), ('right_arm', 'left_arm'), (), ('trunk',)]
    for i, parts in enumerate(parts_of):
        for part in parts:
            weight[i, 0, 1, LAYOUT.parts[part][0]] = 1
    labels = torch.tensor([0, 0, 1, 2, 2, 3])
    limbs = {0: ('right hand wave', ('right_arm',)), 1: ('lunge', ('left_leg',)),
             2: ('clap', ('right_arm', 'left_arm')), 3: ('other', ('right_arm',))}
    found = limb_scores(weight, labels, limbs, LAYOUT)
    assert found.classes == {'right hand wave': 50, 'lunge': 100, 'clap': 50, 'other': 0}
    assert (found.arms, found.legs, found.pairs, found.balanced) == (25, 100, 50, 62.5)
    seen = {k: (name, mirrored_limbs(named)) for k, (name, named) in limbs.items()}
    swapped = limb_scores(weight[..., list(LAYOUT.flip_index)], labels, seen, LAYOUT)
    assert swapped == found


def test_no_leg_is_no_number():
    found = limb_scores(torch.ones(1, 1, 1, 25), torch.tensor([0]), {0: ('wave', ('right_arm',))}, LAYOUT)
    assert found.classes == {'wave': 100} and np.isnan(found.legs) and np.isnan(found.balanced)


def test_a_mirrored_recording_is_prepared_to_the_mirror_of_the_prepared_one():
    """What the check on real data relies on: left and right joints exchanged and x negated, before or after."""
    rng = np.random.default_rng(3)
    rest = rng.normal(0, .3, (25, 3))
    rest[8], rest[4] = [.2, .4, .1], [-.2, .4, -.05]
    recording = (rest + np.cumsum(rng.normal(0, .01, (1, 30, 25, 3)), 1)).astype(np.float32)
    seen = recording[:, :, list(LAYOUT.flip_index)] * np.float32([-1, 1, 1])
    before, after = (prepare([each], LAYOUT, max_persons=1)[0] for each in (recording, seen))
    torch.testing.assert_close(mirror(before, LAYOUT), after, atol=2e-3, rtol=0)
    assert (mirror(before, LAYOUT) - before).abs().max() > .1


def test_motion_energy_is_the_step_to_the_next_frame():
    joints = torch.randn(2, 1, 5, 25, 3)
    steps = motion_energy(joints)
    assert steps.shape == (2, 1, 4, 25)
    assert steps[1, 0, 2, 7].item() == pytest.approx(
        sum((joints[1, 0, 3, 7, c] - joints[1, 0, 2, 7, c]).item() ** 2 for c in range(3)) ** .5, rel=1e-5)
