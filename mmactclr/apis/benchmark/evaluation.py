"""What evaluation costs: features, nearest neighbours, a linear probe on cached features and on none."""
import argparse
import importlib.util
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmactclr.evaluation import knn_predict
from mmactclr.models.backbones import feature_width

from .encoder import EncoderCase
from .measure import Row, Table, alternate, check_precisions, find_device, ratio
from .setup import add_size_arguments, read_config, size_of

CLASSES, NEIGHBOURS, TEMPERATURE = 60, 20, 0.1
PROBE_EPOCHS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said about evaluation."""
    add_size_arguments(parser, batch=128)
    parser.add_argument('--bank', type=int, default=40091,
                        help='training features, by default those of NTU RGB+D 60 cross-subject (%(default)s)')
    parser.add_argument('--queries', type=int, default=2048, help='test features (default: %(default)s)')


def run(args: argparse.Namespace) -> list[Table]:
    """Measure the three."""
    cfg, device = read_config(args.config, args.cfg_options), find_device(args.device)
    size = size_of(cfg, args.batch, args.frames, args.persons, args.absent)
    case = EncoderCase(cfg.model.get('branch', cfg.model).backbone, size, device)
    width = feature_width(case.ours.backbone, case.ours.layout, 'benchmark')
    tables = [Table(f'Linear probe: {PROBE_EPOCHS} epochs, batches of {size.batch} sequences, {CLASSES} classes',
                    [probe_row(case, precision, args) for precision in check_precisions(args.precision, device)]),
              Table(f'{NEIGHBOURS} nearest neighbours: {args.queries} queries, {width} channels',
                    list(neighbour_rows(args.bank, args.queries, width, device, args.repeats)))]
    if args.grow:
        rows = [row for bank in (args.bank // 4, args.bank // 2, 2 * args.bank)
                for row in neighbour_rows(bank, args.queries, width, device, args.repeats)]
        tables.append(Table('Growth of nearest neighbours', rows))
    return tables


def probe_row(case: EncoderCase, precision: str, args: argparse.Namespace) -> Row:
    """An epoch's share of a batch, with the encoder in every epoch and with features computed once."""
    extract = case.call(case.ours, precision, lambda: case.encode(precision), 'inference')
    with torch.no_grad():
        case.ours.eval()
        cached = case.encode(precision)
    classifier = torch.nn.Linear(cached.shape[1], CLASSES).to(case.device)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=3., momentum=0.9)
    labels = torch.randint(CLASSES, (case.size.batch,), device=case.device)

    def train() -> None:
        F.cross_entropy(classifier(cached), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = alternate({'extract': extract, 'train': train}, args.repeats, case.device)
    every = [PROBE_EPOCHS * (a + b) for a, b in zip(seconds['extract'], seconds['train'], strict=True)]
    once = [a + PROBE_EPOCHS * b for a, b in zip(seconds['extract'], seconds['train'], strict=True)]
    return {'precision': precision, 'features/s': case.size.batch / statistics.median(seconds['extract']),
            's a batch, features in every epoch': statistics.median(every),
            's a batch, features once': statistics.median(once), 'every epoch / once': ratio(every, once)}


def neighbour_rows(bank: int, queries: int, width: int, device: torch.device, repeats: int) -> Iterator[Row]:
    """Ours, a loop over queries, and faiss where it is installed."""
    generator = torch.Generator().manual_seed(0)
    known = torch.randn(bank, width, generator=generator).to(device)
    asked = torch.randn(queries, width, generator=generator).to(device)
    labels = torch.randint(CLASSES, (bank,), generator=generator).to(device)
    calls: dict[str, Callable[[], Any]] = {
        'query by query': lambda: one_by_one(known, labels, asked),
        'ours, in chunks': lambda: knn_predict(known, labels, asked, NEIGHBOURS, TEMPERATURE)}
    if device.type == 'cpu' and importlib.util.find_spec('faiss'):
        calls['faiss, flat index'] = lambda: with_faiss(known, labels, asked)
    seconds = alternate(calls, repeats, device)
    for name, each in seconds.items():
        yield {'': name, 'bank': bank, 's': statistics.median(each), 'queries/s': queries / statistics.median(each),
               'query by query / this': ratio(seconds['query by query'], each)}


def one_by_one(bank: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """Labels (Q,) by the weighted vote of the nearest of (B, D), one query at a time."""
    bank, winners = F.normalize(bank, dim=1), []
    for query in queries:
        nearest, where = (bank @ F.normalize(query, dim=0)).topk(min(NEIGHBOURS, len(bank)))
        votes = bank.new_zeros(CLASSES).index_add(0, labels[where], (nearest / TEMPERATURE).exp())
        winners.append(votes.argmax())
    return torch.stack(winners)


def with_faiss(bank: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
    """The same with the search of faiss."""
    import faiss
    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(bank.shape[1])
    index.add(F.normalize(bank, dim=1).numpy())
    found = index.search(F.normalize(queries, dim=1).numpy(), min(NEIGHBOURS, len(bank)))
    nearest, where = map(torch.from_numpy, found)
    votes = bank.new_zeros(len(queries), CLASSES)
    return votes.scatter_add_(1, labels[where], (nearest / TEMPERATURE).exp()).argmax(1)
