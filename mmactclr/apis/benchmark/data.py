"""What augmentation and loading cost, beside code that takes one sequence at a time."""
import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader, Dataset, default_collate

from mmactclr.datasets import (
    ArchiveWriter,
    PreparedSequences,
    SkeletonDataset,
    prepared_sequences,
    skeleton_collate,
)
from mmactclr.errors import ConfigError
from mmactclr.models import ContrastivePreprocessor
from mmactclr.registry import MODELS, SCOPE
from mmactclr.structures import Layout, get_layout
from mmactclr.utils import load_config

from .measure import MIB, Table, alternate, clock, find_device, ratio
from .plain_augmentation import PUBLIC, TUNED, Idiom, PlainAugmentation

LAYOUT, AXES = 'ntu25', 3
AUGMENTED_FRAMES, PERSONS, ABSENT = 50, 2, 0.65
VIEWS = ('query', 'key', 'act', 'non')
GROWTH = (32, 128, 512)
MILLION = 1_000_000
# what the archive of NTU RGB+D keeps of a sequence beside its coordinates
NTU_COLUMNS = ('setup', 'camera', 'subject', 'replication')
NTU_SPLITS = ('xsub', 'xview')
NTU_CLASSES = 60
# the pipelines take turns on stretches of so many batches
_STRETCH = 20
_PARTS = 10
# bytes of a Python int and of the pointer to it in the list that a shuffling sampler makes
_SAMPLER_BYTES = 32 + 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this part of the benchmark."""
    parser.add_argument('--batch', type=int, default=128, help='sequences of a batch (default: %(default)s)')
    parser.add_argument('--sequences', type=int, default=100_000,
                        help='sequences of the archive that is loaded (default: %(default)s)')
    parser.add_argument('--frames', type=int, default=8,
                        help='frames of a loaded sequence; 50 need 30 kB of disk a sequence (default: %(default)s)')


def run(args: argparse.Namespace) -> list[Table]:
    """Time augmentation and loading.

    Raises:
        ConfigError: There is no such device or config, or a number is too small.
    """
    least = dict(batch=1, sequences=_PARTS * args.batch, frames=1)
    for name, low in least.items():
        if getattr(args, name) < low:
            raise ConfigError(f'--{name} is {getattr(args, name)}, expected {low} or more')
    device = find_device(args.device)
    return [*augmentation(args, device), *loading(args, device)]


def build_preprocessor(config: str, options: Mapping[str, Any] | None, device: torch.device
                       ) -> ContrastivePreprocessor:
    """The preprocessor of a config with the four views, without what needs a partner (AdaIN and mixing).

    Raises:
        ConfigError: The config has no such views.
    """
    model = load_config(config, options).model
    settings = dict(model.get('data_preprocessor') or {})
    missing = [name for name in VIEWS if name not in settings.get('views', {})]
    if missing:
        raise ConfigError(f'{config}: the data preprocessor has no views {missing}; take a config of ActCLR')
    settings['views'] = {name: {key: value for key, value in settings['views'][name].items() if key != 'stream'}
                         for name in VIEWS}
    return MODELS.build(dict(settings, _scope_=SCOPE)).to(device)


def make_batch(batch: int, layout: Layout) -> dict[str, torch.Tensor]:
    """Random joints as a dataset gives them; most second persons are absent."""
    generator = torch.Generator().manual_seed(0)
    joints = torch.randn(batch, PERSONS, AUGMENTED_FRAMES, layout.num_joints, AXES, generator=generator)
    mask = torch.ones(batch, PERSONS, dtype=torch.bool)
    mask[:, 1:] = torch.rand(batch, PERSONS - 1, generator=generator) >= ABSENT
    return dict(inputs=joints * mask[:, :, None, None, None], mask=mask, index=torch.arange(batch),
                label=torch.zeros(batch, dtype=torch.int64), role=torch.zeros(batch, dtype=torch.int64))


def augmentation(args: argparse.Namespace, device: torch.device) -> list[Table]:
    """Four views of every sequence, batched and sequence by sequence: at one batch size, and how both grow."""
    preprocessor = build_preprocessor(args.config, args.cfg_options, device)
    seconds = _time_augmentation(preprocessor, args.batch, args.repeats, device)
    rows = [{'pipeline': name, 'ms a batch': 1e3 * statistics.median(taken),
             'sequences/s': args.batch / statistics.median(taken),
             'times slower than batched': ratio(taken, seconds['batched'])} for name, taken in seconds.items()]
    growth = []
    for batch in GROWTH:
        seconds = _time_augmentation(preprocessor, batch, args.repeats, device)
        growth.append({'batch': batch, **{f'{name}, ms a sequence': 1e3 * statistics.median(taken) / batch
                                          for name, taken in seconds.items()}})
    what = f'{len(VIEWS)} views of {AUGMENTED_FRAMES} frames, {PERSONS} persons, without AdaIN and mixing'
    return [Table(f'Augmentation of a batch of {args.batch}: {what}', rows),
            Table('Augmentation by size of the batch', growth)]


def _time_augmentation(preprocessor: ContrastivePreprocessor, batch: int, repeats: int,
                       device: torch.device) -> dict[str, list[float]]:
    data = make_batch(batch, preprocessor.layout)
    sequences = np.ascontiguousarray(data['inputs'].permute(0, 4, 2, 3, 1).numpy())

    def plain(idiom: Idiom) -> Callable[[], Mapping[str, np.ndarray]]:
        pipeline = PlainAugmentation(preprocessor.layout, np.random.default_rng(0), idiom)
        return partial(pipeline.batch, sequences, data['mask'].numpy())

    return alternate({'batched': lambda: preprocessor(data, training=True, views=VIEWS),
                      'plain numpy, public idiom': plain(PUBLIC), 'plain numpy, tuned': plain(TUNED)},
                     repeats, device)


def write_archive(folder: Path, sequences: int, frames: int) -> None:
    """An archive with the columns, names and splits of NTU RGB+D, all sequences of it training.

    Args:
        folder: Where to write it.
        sequences: How many.
        frames: Frames of each; most have one person.
    """
    rng = np.random.default_rng(0)
    layout = get_layout(LAYOUT)
    persons = np.where(rng.random(sequences) < ABSENT, 1, PERSONS)
    motion = rng.standard_normal((PERSONS, frames, layout.num_joints, AXES), np.float32)
    with ArchiveWriter(folder, layout, classes=[f'class {i}' for i in range(NTU_CLASSES)], fps=30, source='random',
                       licence='none') as writer:
        columns: dict[str, Any] = dict.fromkeys(NTU_COLUMNS, 1)
        for i, count in enumerate(persons.tolist()):
            writer.add(motion[:count], label=i % NTU_CLASSES, name=f'S001C001P001R{i:07d}',
                       **columns)
        writer.finish(dict.fromkeys(NTU_SPLITS, np.full(sequences, 'train')))


def open_dataset(folder: Path, frames: int) -> SkeletonDataset:
    """The dataset that training opens."""
    return SkeletonDataset(folder, split=NTU_SPLITS[0], layout=LAYOUT, num_frames=frames, max_persons=PERSONS)


class OneByOne(Dataset):
    """The same sequences as public feeders give them: a sample a call, copied from the memory map.

    Args:
        dataset: Whose sequences to give.
        prepared: Where their coordinates lie.
    """

    def __init__(self, dataset: SkeletonDataset, prepared: PreparedSequences) -> None:
        self._keypoint, self._mask = prepared.keypoint, prepared.mask
        self._index, self._labels, self._roles = dataset.index, dataset.labels, dataset.role

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, i: int) -> dict[str, Any]:
        row = self._index[i]
        return dict(inputs=np.array(self._keypoint[row]), mask=self._mask[row], index=row, label=self._labels[i],
                    role=self._roles[i])


def _batches(dataset: Dataset, batch: int, collate: Callable, device: torch.device) -> Iterator[dict]:
    loader = DataLoader(dataset, batch, sampler=DefaultSampler(dataset, shuffle=True, seed=0), collate_fn=collate)
    for loaded in loader:
        yield {key: value.to(device) for key, value in loaded.items()}


def _endless(*args: Any) -> Iterator[dict]:
    while True:
        yield from _batches(*args)


def resident_memory() -> dict[str, float]:
    """MiB of this process: ``held`` is its own memory, ``mapped`` pages of files, which the system takes back at need.

    Empty where the system has no ``/proc``.
    """
    try:
        lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    except OSError:
        return {}
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(':') for line in lines)
           if name in ('RssAnon', 'RssFile')}
    return {name: kib[field] / 1024 for name, field in (('held', 'RssAnon'), ('mapped', 'RssFile')) if field in kib}


def bytes_per_sequence(dataset: SkeletonDataset, mask: np.ndarray) -> dict[str, float]:
    """Bytes that stay in memory for every sequence, by what they are; coordinates are mapped and not among them."""
    archive = dataset.archive
    held = {f'column {name}': archive.column(name).nbytes / len(archive) for name in archive.columns}
    held['mask'] = mask.nbytes / len(archive)
    own = dict(positions=dataset.index, labels=dataset.labels, roles=dataset.role)
    held.update({name: values.nbytes / len(dataset) for name, values in own.items()})
    held['order of an epoch'] = _SAMPLER_BYTES
    return held


def iterate(folder: str, frames: int, batch: int, threads: int, device: str) -> dict[str, Any]:
    """Open an archive and load it once in random order, in a process of its own.

    Returns:
        ``seconds`` of every batch in the order loaded, ``opening`` seconds, ``before`` and ``after``
        (:func:`resident_memory`), and ``bytes`` (:func:`bytes_per_sequence`).
    """
    torch.set_num_threads(threads)
    before = resident_memory()
    place = torch.device(device)
    start = clock(place)
    dataset = open_dataset(Path(folder), frames)
    opening = clock(place) - start
    seconds = []
    start = clock(place)
    for _ in _batches(dataset, batch, skeleton_collate, place):
        seconds.append(clock(place) - start)
        start = clock(place)
    after = resident_memory()
    prepared = prepared_sequences(dataset.archive, frames, PERSONS)
    return dict(seconds=seconds, opening=opening, before=before, after=after,
                bytes=bytes_per_sequence(dataset, prepared.mask))


def _apart(function: Callable, *args: Any) -> Any:
    """Call a function in a fresh process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool:
            raise ConfigError('the process that loads the archive ended early, perhaps out of memory; try fewer '
                              '--sequences or --frames') from None


def loading(args: argparse.Namespace, device: torch.device) -> list[Table]:
    """Load a large archive and one of a tenth of its size: time of a batch, memory, and the plain way beside it."""
    found = {}
    with tempfile.TemporaryDirectory(prefix='mmactclr_benchmark_') as temporary:
        for sequences in (args.sequences // _PARTS, args.sequences):
            folder = Path(temporary) / str(sequences)
            write_archive(folder, sequences, args.frames)
            # prepares it, so that the other process only maps what lies there
            dataset = open_dataset(folder, args.frames)
            found[sequences] = _apart(iterate, str(folder), args.frames, args.batch, torch.get_num_threads(),
                                      str(device))
        compared = _compare_loaders(dataset, args, device)
    return [Table(f'Loading in batches of {args.batch}, sequences of {args.frames} frames',
                  [_loading_row(sequences, result) for sequences, result in found.items()]),
            _memory_table(found), compared]


def _loading_row(sequences: int, result: Mapping[str, Any]) -> dict[str, Any]:
    # the first batch finds everything cold
    seconds = result['seconds'][1:] or result['seconds']
    tenth = max(1, len(seconds) // _PARTS)
    row = {'sequences': sequences, 'seconds to open': result['opening'],
           'ms a batch, first tenth': 1e3 * statistics.median(seconds[:tenth]),
           'ms a batch, last tenth': 1e3 * statistics.median(seconds[-tenth:])}
    for name in result['after']:
        row[f'MiB {name} before'], row[f'MiB {name}'] = result['before'][name], result['after'][name]
    return row


def _memory_table(found: Mapping[int, Mapping[str, Any]]) -> Table:
    """Bytes of a sequence as counted, and as the growth from the smaller to the larger archive shows them."""
    (few, small), (many, large) = found.items()
    counted = large['bytes']
    rows = [{'held for every sequence': name, 'bytes': size, 'MiB at a million': size * MILLION / MIB}
            for name, size in counted.items()]
    total = sum(counted.values())
    rows.append({'held for every sequence': 'all of these', 'bytes': total, 'MiB at a million': total * MILLION / MIB})
    if large['after']:
        grown = MIB * (large['after']['held'] - small['after']['held']) / (many - few)
        rows.append({'held for every sequence': 'measured, with what is the same for any archive', 'bytes': grown,
                     'MiB at a million': large['after']['held'] + grown * (MILLION - many) / MIB})
    return Table('Memory held, mapped coordinates apart', rows)


def _compare_loaders(dataset: SkeletonDataset, args: argparse.Namespace, device: torch.device) -> Table:
    """Batch at a time against sample by sample, on stretches of the same epoch."""
    one_by_one = OneByOne(dataset, prepared_sequences(dataset.archive, args.frames, PERSONS))
    loaders = {'batch at a time': _endless(dataset, args.batch, skeleton_collate, device),
               'a sample at a time': _endless(one_by_one, args.batch, default_collate, device)}

    def load(name: str) -> None:
        for _ in range(_STRETCH):
            next(loaders[name])

    seconds = alternate({name: partial(load, name) for name in loaders}, args.repeats, device)
    return Table(f'Loaders, batches of {args.batch}', [
        {'loader': name, 'ms a batch': 1e3 * statistics.median(taken) / _STRETCH,
         'sequences/s': args.batch * _STRETCH / statistics.median(taken),
         'times slower than batched': ratio(taken, seconds['batch at a time'])} for name, taken in seconds.items()])
