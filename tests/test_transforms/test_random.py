"""Per-sample generators and partners."""
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmactclr.transforms import SampleRandom, random_partner
from mmactclr.transforms.seeding import seeded_generators

WORDS = st.integers(0, 2**64 - 1) | st.integers(0, 2**32) | st.just(2**32 - 1)

DRAWS = {
    'uniform': lambda r: r.uniform(3, 2),
    'scalar': lambda r: r.uniform(),
    'normal': lambda r: r.normal(4),
    'chance': lambda r: r.chance(0.5),
    'integers': lambda r: r.integers(0, 1000, 3),
    'permutation': lambda r: r.permutation(9),
}


@pytest.mark.parametrize('draw', DRAWS.values(), ids=DRAWS)
def test_a_sample_draws_the_same_in_any_batch(draw):
    whole = SampleRandom(3, 1, range(20), 'key')
    part = SampleRandom(3, 1, torch.tensor([17, 4]), 'key')
    for _ in range(2):  # the second draw depends on the state that the first one left
        assert torch.equal(draw(whole)[[17, 4]], draw(part))


@pytest.mark.parametrize('other', [dict(seed=4), dict(epoch=2), dict(view='query'),
                                   dict(index=range(100, 150))])
def test_every_part_of_the_key_matters(other):
    key = dict(seed=3, epoch=1, index=range(50), view='key')
    a, b = SampleRandom(**key).uniform(), SampleRandom(**{**key, **other}).uniform()
    assert (a == b).float().mean() < 0.1


def test_samples_and_successive_draws_differ():
    random = SampleRandom(0, 0, range(200), '')
    first, second = random.uniform(), random.uniform()
    assert len(first.unique()) > 190
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3


def test_moments_and_ranges():
    random = SampleRandom(1, 0, range(500), 'v')
    uniform = random.uniform(200, low=-2., high=4.)
    assert uniform.dtype == torch.float32 and uniform.shape == (500, 200)
    assert -2 <= uniform.min() and uniform.max() <= 4
    assert uniform.mean().item() == pytest.approx(1, abs=0.05)
    normal = random.normal(200)
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)
    integers = random.integers(2, 6, 50)
    assert integers.dtype == torch.int64 and integers.unique().tolist() == [2, 3, 4, 5]
    assert torch.equal(random.permutation(7).sort(1).values, torch.arange(7).expand(500, 7))
    assert random.chance(1.).all() and not random.chance(0.).any()
    assert random.chance(0.3).float().mean().item() == pytest.approx(0.3, abs=0.08)


def test_keys_do_not_depend_on_the_process():
    code = ("from mmactclr.transforms.random import SampleRandom; "
            "print(SampleRandom(5, 6, [7], 'query').integers(0, 2**40).item())")
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert int(out.stdout) == SampleRandom(5, 6, [7], 'query').integers(0, 2**40).item()


def test_from_global_follows_the_global_generator():
    torch.manual_seed(1)
    first, next_one = (SampleRandom.from_global(3).uniform() for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(SampleRandom.from_global(3).uniform(), first)
    assert not torch.equal(first, next_one)


@given(st.lists(WORDS, min_size=2, max_size=3), st.lists(WORDS, max_size=5), st.lists(WORDS, min_size=1, max_size=2))
def test_seeds_at_once_are_those_of_numpy(before, index, after):
    found = seeded_generators(before, index, after)
    assert len(found) == len(index)
    for i, generator in zip(index, found, strict=True):
        expected = np.random.Generator(np.random.SFC64([*before, i, *after]))
        assert (generator.integers(0, 2**62, 4) == expected.integers(0, 2**62, 4)).all()


def test_some_samples_draw_as_among_all_and_the_others_stay():
    whole, random = (SampleRandom(0, 0, range(6), 'v') for _ in range(2))
    rows = torch.tensor([4, 1])
    first, second = whole.uniform(3), whole.uniform(3)
    some = random.only(rows)
    assert len(some) == 2 and torch.equal(some.uniform(3), first[rows])
    after = random.uniform(3)
    assert torch.equal(after[rows], second[rows])
    assert torch.equal(after[[0, 2, 3, 5]], first[[0, 2, 3, 5]])


@pytest.mark.parametrize('size', [1, 2, 5])
def test_normal_numbers_follow_the_normal_distribution_and_are_independent(size):
    drawn = SampleRandom(2, 0, range(20_000), 'v').normal(size).double().numpy()
    for column in drawn.T:
        # the distance of Kolmogorov and Smirnov, one in a thousand lies above 1.95 / sqrt(n)
        edges = torch.special.ndtr(torch.from_numpy(np.sort(column))).numpy()
        assert np.abs(edges - (np.arange(len(column)) + 0.5) / len(column)).max() < 1.95 / len(column)**0.5
        assert (column ** 4).mean() == pytest.approx(3, abs=0.25)
    if size > 1:
        for power in (1, 2):
            correlation = np.corrcoef((drawn ** power).T) - np.eye(size)
            assert np.abs(correlation).max() < 0.035


@given(st.integers(0, 60), st.integers(0, 2**31))
def test_partners_are_others_and_each_serves_once(n, seed):
    partner = random_partner(n, torch.Generator().manual_seed(seed))
    assert partner.sort().values.tolist() == list(range(n))
    if n > 1:
        assert not (partner == torch.arange(n)).any()


def test_every_other_sample_is_an_equally_likely_partner():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([random_partner(5, generator) for _ in range(2000)])
    counts = torch.bincount(drawn[:, 0], minlength=5)
    assert counts[0] == 0 and (counts[1:] - 500).abs().max() < 100
