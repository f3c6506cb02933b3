"""Transforms that change as training goes on."""
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.transforms import Curriculum, SampleRandom, build_transforms, run_transforms

FIVE = [dict(type='RandomFlip', p=1.), dict(type='RandomRotation'), dict(type='GaussianNoise', p=1.),
        dict(type='GaussianBlur', p=1.), dict(type='RandomShear')]
PHASES = [dict(start=2, transforms=FIVE), dict(start=5, transforms=FIVE, count=3),
          dict(start=9, transforms=FIVE, count=1), dict(start=12, transforms=[])]


def names(curriculum: Curriculum, epoch: int, seed: int = 0) -> list[str]:
    generator = SampleRandom(seed, epoch, [0], 'query').shared_generator('curriculum')
    return [type(transform).__name__ for transform in curriculum.chosen(epoch, generator)]


def test_phases_give_the_transforms_of_their_epochs():
    curriculum, order = Curriculum(PHASES), [step['type'] for step in FIVE]
    assert names(curriculum, 0) == names(curriculum, 1) == []
    assert names(curriculum, 2) == names(curriculum, 4) == order
    for epoch, count in ((5, 3), (8, 3), (9, 1), (11, 1), (12, 0), (400, 0)):
        drawn = names(curriculum, epoch)
        assert len(drawn) == count and drawn == sorted(drawn, key=order.index)


def test_every_transform_is_drawn_as_often_as_the_others():
    curriculum = Curriculum([dict(start=0, transforms=FIVE, count=3)])
    counts = dict.fromkeys((step['type'] for step in FIVE), 0)
    for epoch in range(1000):
        for name in names(curriculum, epoch):
            counts[name] += 1
    # 600 expected of each; four standard deviations of a binomial are 62
    assert all(abs(count - 600) < 62 for count in counts.values()), counts


def test_the_draw_follows_from_seed_epoch_and_view(make_batch):
    curriculum = Curriculum([dict(start=0, transforms=FIVE, count=2)])
    draws = [[names(curriculum, epoch, seed) for epoch in range(20)] for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    generators = [SampleRandom(0, 0, [0], view).shared_generator('curriculum') for view in ('query', 'key')]
    assert generators[0].initial_seed() != generators[1].initial_seed()


def test_it_equals_its_transforms_one_after_the_other(make_batch):
    batch = {**make_batch(), 'stage_epoch': 3}
    expected = run_transforms(build_transforms(FIVE), make_batch())['keypoint']
    assert torch.equal(Curriculum(PHASES)(batch)['keypoint'], expected)
    batch = {**make_batch(), 'stage_epoch': 12}
    assert torch.equal(Curriculum(PHASES)(batch)['keypoint'], batch['keypoint'])


def test_what_a_transform_leaves_in_the_dict_stays(make_batch):
    mix = Curriculum([dict(start=0, transforms=[dict(type='SkeletonMix')])])
    assert mix(make_batch())['mix_mask'].shape == (6, 50, 25)


@pytest.mark.parametrize('phases, message', [
    ([dict(start=0)], 'phase 0 has the keys'),
    ([dict(start=0, transforms=[], number=3)], 'phase 0 has the keys'),
    ([dict(start=0, transforms=FIVE, count=6)], 'draws 6 of 5'),
    ([dict(start=3, transforms=FIVE), dict(start=3, transforms=[])], 'phase 1 starts at epoch 3'),
    ([dict(start=-1, transforms=FIVE)], 'phase 0 starts at epoch -1')])
def test_phases_that_make_no_sense_are_named(phases, message):
    with pytest.raises(ConfigError, match=message):
        Curriculum(phases)
