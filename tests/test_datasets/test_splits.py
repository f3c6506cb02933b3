"""Splits and copies across them."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmactclr.datasets.splits import as_split, split_counts, without_copies
from mmactclr.errors import DataError


@given(st.lists(st.tuples(st.sampled_from(['train', 'test', '']), st.integers(-1, 19)),
                min_size=20, max_size=20))
def test_without_copies_leaves_no_pair_and_no_training_sequence_out(rows):
    split = np.array([word for word, _ in rows])
    original = np.array([position for _, position in rows])
    clean = without_copies(split, original)
    for i, j in enumerate(original):
        assert j < 0 or {clean[i], clean[j]} != {'train', 'test'}
    np.testing.assert_array_equal(clean == 'train', split == 'train')
    for i in np.flatnonzero(clean != split):
        partners = [*original[i:i + 1][original[i:i + 1] >= 0], *np.flatnonzero(original == i)]
        assert split[i] == 'test' and 'train' in split[partners]


def test_counts():
    assert split_counts(np.array(['train', '', 'test', 'train'])) == dict(train=2, test=1)


@pytest.mark.parametrize(('values', 'message'), [
    (['train', 'test'], r'shape \(2,\), expected \(3,\)'),
    (['train', 'test', 'val'], "holds \\['val'\\]"),
])
def test_a_bad_split_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        as_split(values, 3, 'xsub')


@pytest.mark.parametrize(('original', 'message'), [
    (np.array([-1, 2]), 'expected -1'), (np.array([-2, 0]), 'expected -1'),
    (np.array([.5, 0]), 'integers'), (np.array([-1]), 'expected \\(2,\\)'),
])
def test_bad_originals_are_refused(original, message):
    with pytest.raises(DataError, match=message):
        without_copies(np.array(['train', 'test']), original)
