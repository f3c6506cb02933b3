"""Several archives as one training set: what a batch holds, and who reads what."""
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader

from mmactclr.datasets import (
    ArchiveWriter,
    ShardedSkeletonDataset,
    ShardSampler,
    SkeletonArchive,
    SkeletonDataset,
    shard_sampler,
    sharded_dataset,
    skeleton_collate,
)
from mmactclr.datasets.editing import merge_archives, shard_archive
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import get_layout

from .conftest import motion


@pytest.fixture
def write(tmp_path):
    """An archive of ``n`` sequences; of every three, two train."""

    def make(name: str, n: int = 9, classes=('wave', 'nod'), layout: str = 'kinect20_utdmhad', split: str = 'xsub',
             seed: int = 0) -> str:
        joints = get_layout(layout)
        with ArchiveWriter(tmp_path / name, joints, classes=classes, unit='m', source='made up') as writer:
            for i in range(n):
                writer.add(motion(6 + i % 4, 1 + i % 2, seed + i, joints.num_joints), name=f'{name}{i}',
                           label=i % len(classes) if classes else -1)
            words = np.array(['train', 'test', 'train'])[np.arange(n) % 3]
            writer.finish({split: words} if split else {})
        return str(tmp_path / name)

    return make


@pytest.fixture
def processes(monkeypatch):
    """Build what every process of a group would, one after the other."""

    def build(configs: list[dict], epoch: int = 0, **options):
        world = len(configs)
        datasets, gathered = [], []

        def at(rank, exchange):
            monkeypatch.setattr(sharded_dataset, 'get_rank', lambda: rank)
            monkeypatch.setattr(sharded_dataset, 'get_world_size', lambda: world)
            monkeypatch.setattr(sharded_dataset, 'all_gather_object', exchange)
            monkeypatch.setattr(shard_sampler, 'get_dist_info', lambda: (rank, world))

        def note(mine):
            gathered.append(mine)
            raise _Noted

        for rank, config in enumerate(configs):
            at(rank, note)
            with pytest.raises(_Noted):
                ShardedSkeletonDataset(num_frames=8, **config)
        samplers = []
        for rank, config in enumerate(configs):
            at(rank, lambda mine: list(gathered))
            datasets.append(ShardedSkeletonDataset(num_frames=8, **config))
            samplers.append(ShardSampler(datasets[-1], seed=3, **options))
            samplers[-1].set_epoch(epoch)
        return SimpleNamespace(
            datasets=datasets, samplers=samplers,
            drawn=[dataset.index[list(sampler)] for dataset, sampler in zip(datasets, samplers, strict=True)])

    return build


class _Noted(Exception):
    """What a process has was passed on."""


def test_batches_are_those_of_the_archives(write):
    roots = [write('a'), write('b', n=6, seed=50), write('c', n=4, seed=90)]
    dataset = ShardedSkeletonDataset(roots, num_frames=8)
    each = [SkeletonDataset(root, num_frames=8) for root in roots]
    joined = ConcatDataset(each)
    assert len(dataset) == len(joined) == 6 + 4 + 3
    positions = [12, 0, 7, 3, 7]
    batch, expected = dataset.__getitems__(positions), skeleton_collate([joined[i] for i in positions])
    assert batch.keys() == {*expected.keys(), 'archive'}
    assert batch['archive'].tolist() == [2, 0, 1, 0, 1]
    for key in ('inputs', 'mask', 'label', 'role'):
        assert torch.equal(batch[key], expected[key]) and batch[key].dtype == expected[key].dtype, key
    np.testing.assert_array_equal(dataset.prepared, np.concatenate([part.prepared for part in each]))
    # positions count through the archives: 9 and 6 sequences come before the last
    assert batch['index'].tolist() == [18, 0, 9 + 2, 5, 9 + 2]
    assert dataset.name_of(9 + 2).endswith('b: b2') and dataset.num_positions == 19
    loader = DataLoader(dataset, batch_size=5, sampler=ShardSampler(dataset, seed=0), collate_fn=skeleton_collate)
    assert Counter(torch.cat([batch['index'] for batch in loader]).tolist()) == Counter(dataset.index.tolist())


def test_a_pool_of_different_joints_classes_and_splits(write):
    roots = [write('a', split='xview'), write('b', n=6, seed=50, layout='ntu25', classes=('nod', 'bow'), split=None),
             write('c', seed=70, classes=())]
    with pytest.raises(ConfigError, match='kinect20_utdmhad'):
        ShardedSkeletonDataset([f'{roots[0]}:xview'], num_frames=8, layout='ntu25')
    dataset = ShardedSkeletonDataset([f'{roots[0]}:xview', f'{roots[1]}:', roots[2]], num_frames=8, layout='ntu25',
                                     remap=True, max_persons=1)
    assert dataset.metainfo['classes'] == ('wave', 'nod', 'bow') and dataset.metainfo['layout'].name == 'ntu25'
    batch = dataset.__getitems__(range(len(dataset)))
    assert batch['inputs'].shape == (6 + 6 + 6, 1, 8, 25, 3)
    assert batch['label'].tolist() == [0, 0, 1, 1, 0, 0] + [1, 2] * 3 + [-1] * 6
    one = SkeletonDataset(roots[0], 'xview', num_frames=8, layout='ntu25', remap=True, max_persons=1)
    assert torch.equal(batch['inputs'][:6], one.__getitems__(range(6))['inputs'])


def test_all_in_reach_is_one_archive_for_any_number_of_processes(write, processes, tmp_path):
    roots = [write('a'), write('b', n=6, seed=50)]
    one = processes([dict(archives=roots)], epoch=2).drawn[0]
    both = processes([dict(archives=roots)] * 2, epoch=2)
    assert not both.datasets[0].divided
    assert np.array_equal(np.stack(both.drawn, 1).reshape(-1), one)
    merged = SkeletonDataset(merge_archives(roots, tmp_path / 'merged').path, num_frames=8)
    assert sorted(one) == merged.index.tolist()


def test_divided_archives_are_read_by_one_process_each(write, processes):
    pattern = write('s0', n=12).replace('s0', 's*')
    for i in (1, 2, 3):
        write(f's{i}', n=12, seed=100 * i)
    group = processes([dict(archives=pattern, divide=True)] * 2)
    assert [sorted(d.local) for d in group.datasets] == [[0, 2], [1, 3]]
    assert [sorted({int(i) // 12 for i in drawn}) for drawn in group.drawn] == [[0, 2], [1, 3]]
    # together an epoch is every training sequence once, and the order of the next one is another
    together = np.concatenate(group.drawn)
    assert sorted(together) == [i for i in range(48) if i % 3 != 1]
    again = processes([dict(archives=pattern, divide=True)] * 2, epoch=1)
    assert sorted(np.concatenate(again.drawn)) == sorted(together)
    assert not np.array_equal(again.drawn[0], group.drawn[0])
    assert group.datasets[0].metainfo['checksum'] == group.datasets[1].metainfo['checksum']


def test_machines_with_disks_of_their_own_share_what_they_have(write, processes):
    near, far = [write('a', n=12), write('b', n=12, seed=50)], [write('c', n=12, seed=90)]
    group = processes([dict(archives=near), dict(archives=near), dict(archives=far)])
    # 24 sequences in all, 8 a process: two share 16, one has 8
    drawn = [set(drawn.tolist()) for drawn in group.drawn]
    assert [len(d) for d in drawn] == [8, 8, 8] and not drawn[0] & drawn[1]
    where = {shard.holders: i for i, shard in enumerate(group.datasets[0].shards) if len(shard.holders) == 1}
    assert drawn[2] == {int(i) for i in group.datasets[2].index} and list(where) == [(2,)]
    assert 'another process' in group.datasets[0].name_of(group.datasets[2].index[0])


def test_what_is_counted_is_everything_once(write, processes, monkeypatch):
    group = processes([dict(archives=[write('a'), far := write('b', seed=50)]), dict(archives=[far])])
    counted = []
    for rank, dataset in enumerate(group.datasets):
        monkeypatch.setattr(sharded_dataset, 'get_rank', lambda rank=rank: rank)
        counted += dataset.index[dataset.counted()].tolist()
    assert sorted(counted) == [i for i in range(18) if i % 3 != 1]


def test_uneven_shares_are_said_and_even_in_length(write, processes, monkeypatch):
    said = []
    monkeypatch.setattr(shard_sampler, 'print_log', lambda text, **_: said.append(text))
    group = processes([dict(archives=[write('a', n=30)]), dict(archives=[write('b', n=6, seed=50)])])
    assert [len(drawn) for drawn in group.drawn] == [12, 12]
    assert len(set(group.drawn[0].tolist())) == 12 and set(Counter(group.drawn[1].tolist()).values()) == {3}
    assert len(said) == 2 and '4 to 20 sequences and take 12' in said[0]


def test_a_damaged_archive_of_another_process_stops_all(write, processes, monkeypatch):
    root = write('a')
    monkeypatch.setattr(sharded_dataset, 'all_gather_object', lambda mine: [mine, ('cannot read /far/b', [])])
    with pytest.raises(DataError, match='process 1: cannot read /far/b'):
        ShardedSkeletonDataset([root], num_frames=8)


@pytest.mark.parametrize(('archives', 'options', 'message'), [
    ([], {}, 'expected folders of archives'),
    ([3], {}, 'expected folders of archives'),
    (['ROOT/../nothing*'], {}, "there is no archive at '.*nothing"),
    (['ROOT', 'ROOT'], {}, 'same content'),
    (['ROOT:xset'], {}, "no split 'xset'"),
    (['ROOT'], dict(label_subset=dict(fraction=.1)), "no argument 'label_subset'"),
])
def test_what_cannot_be_is_named(write, archives, options, message):
    root = write('a')
    named = [entry.replace('ROOT', root) if isinstance(entry, str) else entry for entry in archives]
    with pytest.raises(ConfigError, match=message):
        ShardedSkeletonDataset(named, num_frames=8, **options)


def test_fewer_archives_than_processes(write, monkeypatch):
    monkeypatch.setattr(sharded_dataset, 'get_world_size', lambda: 2)
    with pytest.raises(ConfigError, match='1 archives and 2 processes.*--shards 2'):
        ShardedSkeletonDataset([write('a')], num_frames=8, divide=True)


def test_sampler_refuses_another_dataset(write):
    with pytest.raises(ConfigError, match='use DefaultSampler'):
        ShardSampler(SkeletonDataset(write('a'), num_frames=8))


def test_parts_of_an_archive_are_the_archive(write, tmp_path):
    whole = SkeletonArchive.open(write('a', n=18))
    parts = shard_archive(whole.path, tmp_path / 'parts', 3)
    assert [part.path.name for part in parts] == ['part_0000', 'part_0001', 'part_0002']
    for number, part in enumerate(parts):
        for i in range(len(part)):
            assert np.array_equal(part.sequence(i), whole.sequence(number + 3 * i))
            assert part.column('name')[i] == whole.column('name')[number + 3 * i]
    with pytest.raises(DataError, match='--overwrite'):
        shard_archive(whole.path, tmp_path / 'parts', 2)
    assert len(shard_archive(whole.path, tmp_path / 'parts', 2, overwrite=True)) == 2
    assert sorted(path.name for path in (tmp_path / 'parts').iterdir()) == ['part_0000', 'part_0001']
    (tmp_path / 'parts' / 'notes.txt').write_text('mine')
    with pytest.raises(DataError, match='something else'):
        shard_archive(whole.path, tmp_path / 'parts', 2, overwrite=True)
    with pytest.raises(ConfigError, match='expected 1 to 18'):
        shard_archive(whole.path, tmp_path / 'other', 19)


@pytest.mark.parametrize('balance', [0., .5, 1.])
def test_archives_of_different_sizes_are_balanced(write, balance):
    sizes = (6, 12, 48)
    dataset = ShardedSkeletonDataset([f'{write(f"d{n}", n=n, seed=n)}:' for n in sizes], num_frames=8)
    sampler = ShardSampler(dataset, seed=3, balance=balance)
    order = list(sampler)
    assert len(order) == len(sampler) == sum(sizes)
    parts = np.split(np.bincount(order, minlength=66), np.cumsum(sizes)[:-1])
    shares = np.array(sizes) ** balance
    np.testing.assert_allclose([part.sum() for part in parts], 66 * shares / shares.sum(), atol=1)
    # all of an archive come up before one does again
    assert all(part.max() - part.min() <= 1 for part in parts)
    # mixed, and others of what is left out in the next epoch
    assert len({int(np.searchsorted(np.cumsum(sizes), i, 'right')) for i in order[:22]}) == 3
    sampler.set_epoch(1)
    assert list(sampler) != order and (balance == 1 or set(sampler) != set(order))


def test_balanced_order_does_not_depend_on_the_number_of_processes(write, processes):
    roots = [write('a'), write('b', n=30, seed=50)]
    one = processes([dict(archives=roots)], epoch=2, balance=.5).drawn[0]
    both = processes([dict(archives=roots)] * 2, epoch=2, balance=.5)
    assert np.array_equal(np.stack(both.drawn, 1).reshape(-1), one)


def test_divided_archives_are_balanced_within_a_process(write, processes):
    pattern = write('s0', n=12).replace('s0', 's*')
    for i, n in enumerate((12, 48, 48), 1):
        write(f's{i}', n=n, seed=100 * i)
    group = processes([dict(archives=pattern, divide=True)] * 2, balance=0.)
    # of 12 and 48 sequences two thirds train, and both give as many
    starts = np.cumsum([0, 12, 12, 48, 48])
    assert [len(drawn) for drawn in group.drawn] == [40, 40]
    for numbers, drawn in zip(([0, 2], [1, 3]), group.drawn, strict=True):
        counts = [int(((drawn >= lo) & (drawn < hi)).sum()) for lo, hi in zip(starts[:-1], starts[1:], strict=True)]
        assert [counts[i] for i in numbers] == [20, 20] and sum(counts) == 40


@pytest.mark.parametrize('balance', [-.1, 1.5, float('nan')])
def test_a_balance_that_cannot_be_is_refused(write, balance):
    with pytest.raises(ConfigError, match='ShardSampler: balance is .*expected a number from 0'):
        ShardSampler(ShardedSkeletonDataset([write('a')], num_frames=8), balance=balance)
