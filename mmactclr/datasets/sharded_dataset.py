"""Several archives as one training set, each process with those that it can reach."""
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from torch import Tensor
from torch.utils.data import Dataset

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import DATASETS

from .archive_format import META
from .skeleton_dataset import SkeletonDataset

# an archive and a split of it, as `data/nw_ucla:xview`; with nothing after the colon, all its sequences
_WITH_SPLIT = re.compile(r'(?P<path>.+):(?P<split>\w*)')


@dataclass(frozen=True)
class Shard:
    """What all processes know of one archive, whether they can read it or not.

    Attributes:
        key: Checksum of the archive and split.
        place: Place in the list of archives, where it comes first.
        positions: Sequences in the archive.
        chosen: Those that are trained on.
        classes: Names of its classes.
        holders: Ranks of the processes that read it, ascending.
    """

    key: str
    place: int
    positions: int
    chosen: int
    classes: tuple[str, ...]
    holders: tuple[int, ...] = ()


@DATASETS.register_module()
class ShardedSkeletonDataset(Dataset):
    """The training sequences of several archives, on one disk or on many.

    Batches are those of :class:`SkeletonDataset`. ``index`` counts through all archives of all processes, so that
    views of different sequences are drawn differently; classes are united by name. Every process may see
    other archives, as on machines with disks of their own: processes tell each other what they have when this is built,
    so all of them have to build it. :class:`ShardSampler` then deals the sequences out.

    With ``remap=True`` archives of different joints are brought to one layout.

    Args:
        archives: Folders of archives or patterns such as ``data/shards/*``, each with ``:SPLIT`` behind it where
            the split is not ``split``; ``PATH:`` takes all sequences.
        split: Split whose training part is used; None takes all sequences.
        divide: Open only every ``world_size``-th archive, so that each is read by one process alone.
        options: As in :class:`SkeletonDataset`, the same for all archives.

    Attributes:
        shards (tuple[Shard, ...]): All archives of all processes.
        local (dict[int, SkeletonDataset]): Those that this process reads, by their number among ``shards``.
        labels (np.ndarray): (N,) int64, of what this process reads.
        index (np.ndarray): (N,) int64, positions through all archives, of what this process reads.

    Raises:
        ConfigError: A pattern has no match, an archive is named twice, or processes would have none.
        DataError: An archive of any process is missing or damaged.
    """

    def __init__(self, archives: str | Sequence[str], split: str | None = 'xsub', divide: bool = False,
                 **options: Any) -> None:
        for name in ('subset', 'label_subset'):
            if name in options:
                raise ConfigError(f'ShardedSkeletonDataset has no argument {name!r}: it is for training without '
                                  'labels; merge the archives (tools/dataset_converters/archive.py merge) and use '
                                  'SkeletonDataset')
        mine, failure = [], None
        try:
            mine = _open(find_archives(archives, split), divide, options)
        except (ConfigError, DataError) as error:
            failure = error
        facts = [] if failure else [_describe(place, dataset) for place, dataset in mine]
        everyone = all_gather_object((str(failure) if failure else '', facts))
        if failure:
            raise failure
        for rank, (message, _) in enumerate(everyone):
            if message:
                raise DataError(f'process {rank}: {message}')
        self.shards = _unite([facts for _, facts in everyone])
        number = {shard.key: i for i, shard in enumerate(self.shards)}
        by_key = {_key(dataset): dataset for _, dataset in mine}
        if len(by_key) < len(mine):
            raise ConfigError('ShardedSkeletonDataset: archives with the same content: '
                              + ', '.join(str(dataset.archive.path) for _, dataset in mine))
        self.local = {number[key]: by_key[key] for key in sorted(by_key, key=number.__getitem__)}
        self._start = np.cumsum([0] + [len(dataset) for dataset in self.local.values()])
        self._offsets = np.cumsum([0] + [shard.positions for shard in self.shards])
        classes = list(dict.fromkeys(name for shard in self.shards for name in shard.classes))
        datasets = self.datasets
        self.index = np.concatenate([dataset.index + self._offsets[i] for i, dataset in self.local.items()])
        self.labels = np.concatenate([_relabel(dataset, classes) for dataset in datasets])
        self.metainfo = dict(
            classes=tuple(classes), layout=datasets[0].metainfo['layout'], label_subset=None,
            data_root=[str(dataset.archive.path) for dataset in datasets], split=split, subset='train',
            checksum=hashlib.sha256(' '.join(shard.key for shard in self.shards).encode()).hexdigest())

    def full_init(self) -> None:
        """Does nothing: mmengine's dataset wrappers call it."""

    @property
    def num_positions(self) -> int:
        """One more than the largest ``index`` of any process."""
        return int(self._offsets[-1])

    @property
    def divided(self) -> bool:
        """Whether some process lacks some archive."""
        return any(len(shard.holders) < get_world_size() for shard in self.shards)

    @property
    def total(self) -> int:
        """Sequences to train on, of all processes together."""
        return sum(shard.chosen for shard in self.shards)

    @property
    def with_inputs(self) -> bool:
        """Whether batches carry joints."""
        return all(dataset.with_inputs for dataset in self.local.values())

    @with_inputs.setter
    def with_inputs(self, value: bool) -> None:
        """Let batches carry joints or not."""
        for dataset in self.local.values():
            dataset.with_inputs = value

    @property
    def prepared(self) -> np.ndarray:
        """(N, M, T, V, C) float32 of what this process reads; a copy, read from disk."""
        return np.concatenate([dataset.prepared for dataset in self.local.values()])

    @property
    def prepared_mask(self) -> np.ndarray:
        """(N, M) bool, persons present."""
        return np.concatenate([dataset.prepared_mask for dataset in self.local.values()])

    @property
    def resident_size(self) -> int:
        """Bytes of :attr:`prepared`."""
        return sum(dataset.resident_size for dataset in self.local.values())

    @property
    def datasets(self) -> list[SkeletonDataset]:
        """What this process reads, an archive each."""
        return list(self.local.values())

    def start(self, number: int) -> int:
        """Where the sequences of an archive that this process reads begin."""
        return int(self._start[list(self.local).index(number)])

    def counted(self) -> np.ndarray:
        """Positions of what this process reads, without archives that one of lower rank reads: nothing counts twice."""
        own = [np.arange(self.start(number), self.start(number) + self.shards[number].chosen) for number in self.local
               if self.shards[number].holders[0] == get_rank()]
        return np.concatenate(own) if own else np.empty(0, np.int64)

    def name_of(self, index: int) -> str:
        """Archive and name of a sequence.

        Args:
            index: Its ``index``.
        """
        number = int(np.searchsorted(self._offsets, index, side='right')) - 1
        if number not in self.local:
            return f'sequence {index - int(self._offsets[number])} of archive {number} of another process'
        dataset = self.local[number]
        return f'{dataset.archive.path}: {dataset.name_of(index - int(self._offsets[number]))}'

    def __len__(self) -> int:
        return int(self._start[-1])

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {key: values[0] for key, values in self.__getitems__([i]).items()}

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """A batch in one step: the samples at these positions of what this process reads, stacked."""
        indices = np.asarray(indices, dtype=np.int64)
        if len(indices) and not (0 <= indices.min() and indices.max() < len(self)):
            raise IndexError(f'positions {indices.min()} to {indices.max()} of {len(self)} sequences')
        which = np.searchsorted(self._start, indices, side='right') - 1
        batch: dict[str, Tensor] = {}
        for place in np.unique(which):
            rows = torch.from_numpy(np.flatnonzero(which == place))
            dataset = self.datasets[place]
            part = dataset.__getitems__(indices[rows.numpy()] - self._start[place])
            for key, values in part.items():
                if key not in batch:
                    batch[key] = values.new_empty((len(indices), *values.shape[1:]))
                batch[key][rows] = values
        return dict(batch, index=torch.from_numpy(self.index[indices]), label=torch.from_numpy(self.labels[indices]),
                    archive=torch.from_numpy(np.array(list(self.local), np.int64)[which]))


def find_archives(archives: str | Sequence[str], split: str | None) -> list[tuple[Path, str | None]]:
    """Folders of archives and the split of each, in the order given; matches of a pattern are sorted.

    Args:
        archives: As for :class:`ShardedSkeletonDataset`.
        split: Split where none is named.

    Raises:
        ConfigError: The list is empty, an entry is no text, or there is no archive where one is named.
    """
    entries = [archives] if isinstance(archives, str) else archives
    if not isinstance(entries, (list, tuple)) or not entries or not all(isinstance(e, str) and e for e in entries):
        raise ConfigError(f"archives is {archives!r}, expected folders of archives or patterns, as ['data/shards/*'] "
                          "or ['data/utd_mhad:xsub', 'data/nw_ucla:xview']")
    found: list[tuple[Path, str | None]] = []
    for entry in entries:
        named = _WITH_SPLIT.fullmatch(entry)
        pattern, own = (named['path'], named['split'] or None) if named else (entry, split)
        # what a pattern meets besides archives, such as a file of notes, is not meant
        matches = [path for path in map(Path, sorted(glob(pattern))) if (path / META).is_file()]
        if not matches:
            raise ConfigError(f'archives: there is no archive at {pattern!r}, expected a folder with {META} in it, as '
                              'tools/dataset_converters/convert.py writes it')
        found += [(path, own) for path in matches]
    return found


def _open(found: Sequence[tuple[Path, str | None]], divide: bool, options: Mapping[str, Any]
          ) -> list[tuple[int, SkeletonDataset]]:
    """The archives of this process, with their places among all that it found."""
    rank, world = get_rank(), get_world_size()
    places = range(len(found))
    if divide:
        if len(found) < world:
            raise ConfigError(f'archives: divide=True with {len(found)} archives and {world} processes; each needs one '
                              f'of its own: tools/dataset_converters/archive.py shard SRC DST --shards {world}')
        places = places[rank::world]
    return [(place, SkeletonDataset(found[place][0], split=found[place][1], subset='train', **options))
            for place in places]


def _key(dataset: SkeletonDataset) -> str:
    return f'{dataset.archive.checksum}:{dataset.metainfo["split"]}'


def _describe(place: int, dataset: SkeletonDataset) -> Shard:
    return Shard(_key(dataset), place, len(dataset.archive), len(dataset), tuple(dataset.archive.classes))


def _unite(everyone: Sequence[Sequence[Shard]]) -> tuple[Shard, ...]:
    """The archives of all processes, in an order that does not depend on who has which."""
    first: dict[str, Shard] = {}
    holders: dict[str, list[int]] = {}
    for rank, shards in enumerate(everyone):
        for shard in shards:
            holders.setdefault(shard.key, []).append(rank)
            if shard.key not in first or shard.place < first[shard.key].place:
                first[shard.key] = shard
    ordered = sorted(first.values(), key=lambda shard: (shard.place, shard.key))
    return tuple(Shard(s.key, s.place, s.positions, s.chosen, s.classes, tuple(sorted(set(holders[s.key]))))
                 for s in ordered)


def _relabel(dataset: SkeletonDataset, classes: Sequence[str]) -> np.ndarray:
    """Labels among the classes of all archives, -1 where an archive has none."""
    if not dataset.archive.classes:
        return dataset.labels
    number = np.array([classes.index(name) for name in dataset.archive.classes])
    return np.where(dataset.labels < 0, -1, number[dataset.labels])
