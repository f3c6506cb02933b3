"""The dataset and both forms of a batch, through the loaders that will use them."""
import pickle

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch.utils.data import ConcatDataset, DataLoader, Subset

from mmactclr.datasets import SkeletonDataset, skeleton_collate
from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import DATASETS
from mmactclr.transforms import prepare

from .test_verification import edit_index

KEYS = {'inputs', 'mask', 'index', 'label', 'role'}


@pytest.fixture
def build(make_archive):
    """A dataset of the small archive, 8 frames."""
    root = make_archive().path

    def make(**options):
        return SkeletonDataset(root, num_frames=8, **options)

    return make


def assert_same(batch, other):
    assert batch.keys() == other.keys() == KEYS
    for key in KEYS:
        assert batch[key].dtype == other[key].dtype
        assert torch.equal(batch[key], other[key]), key


def test_contents(build):
    dataset = build(subset='both')
    batch = dataset.__getitems__(range(4))
    assert batch['index'].tolist() == [0, 3, 1, 4] and batch['role'].tolist() == [0, 0, 1, 1]
    assert batch['label'].tolist() == [0, 0, 1, 1]
    assert batch['mask'].dtype == torch.bool and batch['inputs'].dtype == torch.float32
    expected, mask = prepare([dataset.archive.sequence(i) for i in (0, 3, 1, 4)],
                             'kinect20_utdmhad', 8, 2)
    assert torch.equal(batch['mask'], mask)
    torch.testing.assert_close(batch['inputs'], expected)
    np.testing.assert_array_equal(dataset.prepared, batch['inputs'].numpy())


def test_a_batch_is_its_samples(build):
    dataset = build(subset='both')
    assert_same(skeleton_collate([dataset[i] for i in (2, 0)]), dataset.__getitems__([2, 0]))
    assert dataset[0]['label'].shape == () and dataset[0]['inputs'].shape == (2, 8, 20, 3)


def test_a_batch_can_be_changed_without_changing_the_data(build):
    dataset = build()
    dataset.__getitems__([0, 1])['inputs'].zero_()
    batch = dataset.__getitems__([0, 1])
    for key in ('label', 'index', 'role', 'mask'):
        batch[key].zero_()
    assert dataset[0]['inputs'].any() and dataset[1]['index'] == 3 and dataset[1]['mask'].any()


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize('wrap', [
    lambda d: d, lambda d: Subset(d, range(len(d))), lambda d: ConcatDataset([d]),
    lambda d: ConcatDataset([Subset(d, [0, 1]), Subset(d, [2, 3])])],
    ids=['plain', 'subset', 'concat', 'concat of subsets'])
def test_torch_loaders(build, wrap, workers):
    dataset = build(subset='both')
    loader = DataLoader(wrap(dataset), batch_size=3, collate_fn=skeleton_collate,
                        num_workers=workers)
    batches = list(loader)
    assert [len(batch['label']) for batch in batches] == [3, 1]
    assert_same(batches[0], dataset.__getitems__([0, 1, 2]))
    assert_same(batches[1], dataset.__getitems__([3]))


@pytest.mark.parametrize('wrap', ['plain', 'mmengine concat'])
def test_mmengine_loader_from_a_config(build, wrap):
    dataset = build(subset='both')
    config = dict(type='mmactclr.SkeletonDataset', data_root=str(dataset.archive.path),
                  subset='both', num_frames=8, layout='kinect20_utdmhad')
    if wrap == 'mmengine concat':
        config = dict(type='ConcatDataset', datasets=[config, config])
    loader = Runner.build_dataloader(dict(
        batch_size=3, num_workers=0, dataset=config,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='mmactclr.skeleton_collate')))
    assert_same(next(iter(loader)), dataset.__getitems__([0, 1, 2]))
    assert len(loader.dataset) == (4 if wrap == 'plain' else 8)


def test_joined_archives_of_other_shapes_are_refused(build):
    with pytest.raises(DataError, match='same layout, num_frames and max_persons'):
        skeleton_collate([build()[0], build(max_persons=1)[0]])


def test_it_is_registered_under_its_bare_name(build):
    root = str(build().archive.path)
    assert len(DATASETS.build(dict(type='SkeletonDataset', data_root=root, num_frames=8))) == 2


def test_pickling_does_not_copy_the_data(build):
    dataset = build()
    data = pickle.dumps(dataset)
    assert len(data) < 6000 < dataset.prepared.nbytes
    assert_same(pickle.loads(data).__getitems__([0, 1]), dataset.__getitems__([0, 1]))


def test_metainfo(build):
    info = build(min_frames=13).metainfo
    assert info['classes'] == ('wave', 'nod', 'bow') and info['layout'].name == 'kinect20_utdmhad'
    assert info['checksum'] == build().archive.checksum
    assert info['excluded'] == dict(too_short=1, at_conversion=0)


def test_data_without_a_protocol(build):
    dataset = build(split=None)
    assert len(dataset) == 6 and set(dataset.role) == {0}
    with pytest.raises(ConfigError, match='needs a split'):
        build(split=None, subset='test')


@pytest.mark.parametrize(('options', 'message'), [
    (dict(split='xset'), "no split 'xset'; it has: xsub"),
    (dict(subset='val'), "subset is 'val'"),
    (dict(layout='ntu25'), r"'ntu25' \(25 joints\), .* 'kinect20_utdmhad' \(20 joints\)"),
    (dict(layout='kinect20_nwucla'), "'kinect20_nwucla'.*'kinect20_utdmhad'"),
])
def test_a_config_that_does_not_fit_the_data(build, options, message):
    with pytest.raises(ConfigError, match=message):
        build(**options)


def test_bad_data(build, make_archive, tmp_path):
    with pytest.raises(DataError, match='there is no skeleton archive'):
        SkeletonDataset(tmp_path / 'nowhere')
    with pytest.raises(DataError, match='shorter than min_frames=99'):
        build(min_frames=99)
    with pytest.raises(DataError, match="the test part of split 'xsub' is empty"):
        SkeletonDataset(make_archive('no_test', split=('train',) * 6).path, subset='both')
    path = make_archive('labels').path
    edit_index(path, label=np.array([0, 1, 2, 7, 1, 2]))
    with pytest.raises(DataError, match='labels go from 0 to 7, expected 0 to 2'):
        SkeletonDataset(path)
