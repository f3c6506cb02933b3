"""The memory against a plain Python deque."""
from collections import deque

import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.models import MemoryBank


@pytest.mark.parametrize('size', [1, 5, 7, 12])
@pytest.mark.parametrize('batches', [(3, 3, 3, 3, 3), (1,), (13, 2), (4, 9, 4)])
def test_holds_the_newest_keys(size, batches):
    bank, expected, count = MemoryBank(size, 2), deque(maxlen=size), 0
    for batch in batches:
        keys = torch.arange(count, count + batch).float()[:, None].repeat(1, 2)
        count += batch
        bank.enqueue(keys)
        expected.extend(keys[:, 0].tolist())
        assert sorted(bank.valid()[:, 0].tolist()) == sorted(expected)


def test_slots_that_were_never_filled_are_no_negatives():
    bank = MemoryBank(10, 2)
    assert bank.valid().shape == (0, 2)
    bank.enqueue(torch.ones(3, 2))
    assert bank.valid().shape == (3, 2)


def test_state_survives_a_checkpoint():
    bank, other = MemoryBank(5, 2), MemoryBank(5, 2)
    bank.enqueue(torch.randn(7, 2))
    other.load_state_dict(bank.state_dict())
    new = torch.randn(2, 2)
    bank.enqueue(new)
    other.enqueue(new)
    torch.testing.assert_close(bank.keys, other.keys)


def test_size_must_be_positive():
    with pytest.raises(ConfigError, match='at least 1'):
        MemoryBank(0, 2)
