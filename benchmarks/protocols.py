"""Run every downstream protocol on real recordings from several encoders; write a JSON line each and the tables.

Frozen: kNN, linear, logistic, retrieval, few-shot. A linear classifier as in the paper; everything trained on all
labels and on 1, 2 and 5 a class, with several seeds of labels and order; the same network from scratch; what an encoder
trained on the labels of one set knows of the others; segmentation of joined clips.

Example:
    python benchmarks/protocols.py --encoders 'public ActCLR=actclr.pth' flagship=actclr_joint_flagship --jobs 2
    python benchmarks/protocols.py --table
"""
import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import Grid, add_arguments, as_folder, call, finish, named_encoders, paired, reason, signed  # noqa: E402

from mmactclr.datasets.archive_format import file_sha256  # noqa: E402
from mmactclr.utils.zoo import find_checkpoint  # noqa: E402

SPLITS = {'utdmhad': 'utdmhad_xsub', 'uiprmd': 'uiprmd_xsub', 'nwucla': 'nwucla_xview'}
# columns: set and test part; on Northwestern-UCLA also without the copies of training files
COLUMNS = {'UTD-MHAD': ('utdmhad', ''), 'UI-PRMD': ('uiprmd', ''), 'NW-UCLA, 464': ('nwucla', ''),
           'NW-UCLA, 369': ('nwucla', 'xview_clean')}
# all recordings show one person, and what is trained through the encoder costs half without an empty second one
ONE_PERSON = ('max_persons=1',)
FROZEN = [
    dict(type='KNNEvaluator', k=[1, 20]), dict(type='LinearEvaluator', lr=0.1, standardize=True),
    dict(type='LogisticEvaluator'), dict(type='RetrievalEvaluator'), dict(type='FewShotEvaluator', shots=[1, 5, 10])]
# rows of frozen features: title, metrics
FROZEN_ROWS = {
    'kNN, k 1 / k 20': ('knn/backbone_k1', 'knn/backbone_k20'),
    'retrieval, r1 / mAP': ('retrieval/backbone_r1', 'retrieval/backbone_map'),
    'few-shot, 1 / 5 / 10 a class': tuple(f'fewshot/backbone_{k}shot' for k in (1, 5, 10)),
    'standardised linear / logistic': ('linear/backbone_top1', 'logistic/backbone_top1')}
BASELINES = {'prepared_coordinates': 'raw coordinates', 'mean_joint_velocity': 'mean joint velocity',
             'untrained_encoder': 'untrained encoder'}
# labels of a class: epochs that make the steps enough for the loss to settle, a share of the 300 of the protocol
LABELS = {1: 150, 2: 100, 5: 60, 0: 30}
SEGMENTATION = ('accuracy', 'mean_class_accuracy', 'miou', 'edit', 'f1@10', 'f1@25', 'f1@50')
SEGMENTED = {'segmentation coordinates': 'coordinates of every frame', 'segmentation untrained':
             'untrained encoder of {}', 'segmentation': '{}'}


@dataclass(frozen=True)
class Job:
    """One protocol on one set from one encoder.

    Attributes:
        encoder: Name of the encoder; empty where there is none.
        source: Its checkpoint.
        protocol: ``frozen``, ``linear``, ``finetune K`` with K labels a class (0: all), ``scratch K``, ``from SET``,
            ``segmentation``, ``segmentation untrained`` or ``segmentation coordinates`` (of every frame, no encoder).
        data: Key of :data:`SPLITS`.
        seed: Seed of labels and order.
    """

    encoder: str
    source: str
    protocol: str
    data: str
    seed: int = 0

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f'{self.encoder}, {self.protocol}, {self.data}, seed {self.seed}'

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f'{self.encoder}_{self.protocol}_{self.data}_{self.seed}'

    def recipe(self) -> dict[str, Any]:
        """All that its numbers depend on."""
        sha256 = file_sha256(Path(find_checkpoint(self.source)))[:16] if self.source else ''
        return dict(encoder=self.encoder, sha256=sha256, protocol=self.protocol,
                    data=self.data, seed=self.seed, options=list(self.options()))

    def options(self) -> tuple[str, ...]:
        """Overrides of the config of the protocol."""
        kind, _, labels = self.protocol.partition(' ')
        if kind == 'linear':
            return (f'randomness.seed={self.seed}',)
        if kind == 'segmentation':
            return {'': (), 'untrained': ('from_scratch=True',), 'coordinates': (
                'model.backbone.type=FrameCoordinates', 'model.backbone.layout=ntu25',
                'model.head.in_channels=75')}[labels]
        if kind not in ('finetune', 'scratch'):
            return ()
        epochs, labels = LABELS[int(labels)], int(labels)
        few = (f'label_subset.per_class={labels}', 'label_subset.fraction=None', f'label_subset.seed={self.seed}')
        return (*ONE_PERSON, f'randomness.seed={self.seed}', f'train_cfg.max_epochs={epochs}',
                f'train_cfg.val_interval={epochs}', f'param_scheduler.milestones=[{epochs * 4 // 5}]',
                *(few if labels else ()), *(('from_scratch=True',) if kind == 'scratch' else ()))

    def execute(self, folder: Path, out: Path) -> dict[str, Any]:
        """Do it; accuracies by test part, and seconds of its thread."""
        kind, _, rest = self.protocol.partition(' ')
        split = SPLITS[self.data]
        parts = [part for data, part in COLUMNS.values() if data == self.data]
        if kind in ('frozen', 'from'):
            source = self.source if kind == 'frozen' else str(self.trained_on(rest, out))
            found = {part: test_frozen(split, source, folder / (part or 'all'), part, kind == 'frozen')
                     for part in parts}
            return dict(metrics={part: metrics for part, (metrics, _) in found.items()},
                        seconds=round(sum(seconds for _, seconds in found.values()), 1))
        config = 'segmentation/segmentation_utdmhad_xsub' if kind == 'segmentation' else (
            f'linear/linear_{split}' if kind == 'linear' else
            f'finetune/finetune_{split}' if rest == '0' else f'semi/semi10_{split}')
        config = f'configs/benchmarks/{config}.py'
        amp = ['--amp'] if kind in ('finetune', 'scratch') else []
        options = [*([f'init_from={self.source}'] if self.source else []), *self.options()]
        seconds = run(['tools/train.py', config, '--work-dir', str(folder), *amp, '--cfg-options', *options], folder)
        metrics = {'': read_metrics(folder, 'val')}
        for part in (parts[1:] if kind != 'segmentation' else ()):
            shown = folder / part
            keep = [option for option in options if option.startswith(('init_from', 'max_persons'))]
            run(['tools/test.py', config, last_checkpoint(folder), '--work-dir', str(shown), '--cfg-options', *keep,
                 f'split={part}'], shown)
            metrics[part] = read_metrics(shown, 'test')
        return dict(metrics=metrics, seconds=seconds)

    def trained_on(self, data: str, out: Path) -> str:
        """Checkpoint of the same encoder trained on all labels of another set."""
        return last_checkpoint(out / as_folder(Job(self.encoder, self.source, 'finetune 0', data, self.seed).folder))


def test_frozen(split: str, checkpoint: str, folder: Path, part: str, everything: bool
                ) -> tuple[dict[str, float], float]:
    """Accuracies of frozen features, with baselines if ``everything``, and seconds of the thread."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / 'config.py'
    lines = [f'_base_ = {str(ROOT / "configs" / "benchmarks" / "transfer" / f"checkpoint_{split}.py")!r}',
             f'test_evaluator = {FROZEN if everything else [FROZEN[0], FROZEN[2]]!r}']
    if not everything:
        lines.append("test_cfg = dict(baselines=dict(_delete_=True))")
    config.write_text('\n'.join([*lines, *([f'split = {part!r}'] if part else [])]) + '\n')
    seconds = run(['tools/test.py', str(config), checkpoint, '--work-dir', str(folder)], folder)
    kept = {metric for metrics in FROZEN_ROWS.values() for metric in metrics}
    found = read_metrics(folder, 'test')
    return {name: value for name, value in found.items()
            if name in kept or name.partition('/')[0] in BASELINES and name.partition('/')[2] in kept}, seconds


def run(command: list[str], folder: Path) -> float:
    """Seconds of the thread of a tool."""
    folder.mkdir(parents=True, exist_ok=True)
    used = call(command, folder / 'tool.log')
    if used is None:
        raise RuntimeError(f'{command[0]} failed{reason(folder / "tool.log")}')
    return round(used[0], 1)


def read_metrics(folder: Path, mode: str) -> dict[str, float]:
    """Metrics of a run, rounded to hundredths."""
    metrics = json.loads((folder / 'metrics.json').read_text())[mode]['metrics']
    return {name: round(value, 2) for name, value in metrics.items()}


def last_checkpoint(folder: Path) -> str:
    """The file that the marker of a finished training names."""
    marker = folder / 'last_checkpoint'
    if not marker.is_file():
        raise RuntimeError(f'{folder} holds no finished training')
    return marker.read_text().strip()


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, 'protocols')
    parser.add_argument('--encoders', nargs='+', default=[], metavar='NAME=CKPT',
                        help='checkpoints with a card or names of the zoo; the first is also trained from scratch')
    parser.add_argument('--sets', nargs='+', choices=SPLITS, default=list(SPLITS), help='(default: all)')
    parser.add_argument('--protocols', nargs='+', choices=('frozen', 'linear', 'finetune', 'from', 'segmentation'),
                        help='only these (default: all); finetune has the networks from scratch')
    parser.add_argument('--labels', type=int, nargs='+', choices=LABELS, default=list(LABELS),
                        help='labels a class that finetuning has, 0 for all of them (default: 1 2 5 0)')
    return parser.parse_args()


def jobs_of(encoders: dict[str, str], sets: Sequence[str], seeds: Sequence[int], numbers: Sequence[int] = tuple(LABELS)
            ) -> Iterator[Job]:
    """All jobs, cheap ones first, and what is trained before what looks at it."""
    if 'utdmhad' in sets:
        yield Job('', '', 'segmentation coordinates', 'utdmhad')
    for name, source in encoders.items():
        for data in sets:
            yield Job(name, source, 'frozen', data)
            yield from (Job(name, source, 'linear', data, seed) for seed in seeds)
        if 'utdmhad' in sets:
            yield from (Job(name, source, f'segmentation{which}', 'utdmhad') for which in ('', ' untrained'))
    for labels in sorted(numbers):
        for number, (name, source) in enumerate(encoders.items()):
            for seed in seeds:
                for data in sets:
                    yield Job(name, source, f'finetune {labels}', data, seed)
                    if not number:
                        yield Job(name, source, f'scratch {labels}', data, seed)
    for name, source in encoders.items():
        for seed in seeds:
            yield from (Job(name, source, f'from {other}', data, seed)
                        for data in sets for other in sets if other != data)


def main() -> None:
    """Do what is missing, then print the tables."""
    args = parse_args()
    complete = True
    if not args.table:
        encoders = named_encoders(args.encoders)
        jobs = [job for job in jobs_of(encoders, args.sets, args.seeds, args.labels)
                if not args.protocols or _kind(job.protocol) in args.protocols]
        grid = Grid(args)
        # encoders that were trained on another set are there before they are looked at
        for transferred in (False, True):
            complete &= grid.drive([job for job in jobs if job.protocol.startswith('from ') == transferred])
    finish(args, table, complete)


def _kind(protocol: str) -> str:
    return protocol.partition(' ')[0].replace('scratch', 'finetune')


def table(lines: list[dict[str, Any]]) -> str:
    """Rows of each protocol and encoder, then segmentation; means over seeds, with standard deviations if several.

    Where two encoders have several seeds in common, their paired difference and half of its 95% interval follow.
    """
    rows = [['', 'encoder', *COLUMNS, 'seeds'], ['---'] * (len(COLUMNS) + 3)]
    encoders = list(dict.fromkeys(line['encoder'] for line in lines if line['encoder']))
    frozen = [line for line in lines if line['protocol'] == 'frozen']
    for title, metrics in FROZEN_ROWS.items():
        for prefix, name in ((who, name) for who in (*BASELINES, '') for name in encoders):
            # untrained are as many as there are networks, the others one
            if prefix and name != encoders[0] and not prefix.startswith('untrained'):
                continue
            cells = [' / '.join(_cell(frozen, name, column, f'{prefix}/{metric}'.lstrip('/')) or '-'
                                for metric in metrics) for column in COLUMNS.values()]
            who = BASELINES.get(prefix, name) + f' of {name}' * prefix.startswith('untrained')
            rows.append([title, who, *cells, '1'])
    for protocol, title in _trained_titles():
        group = [line for line in lines if line['protocol'] == protocol]
        metric = 'knn/backbone_k20' if protocol.startswith('from ') else 'classifier/top1'
        found = {name: columns for name in encoders
                 if any(columns := [_values(group, name, column, metric) for column in COLUMNS.values()])}
        for name, columns in found.items():
            rows.append([title, name, *(_mean(values) or '-' for values in columns),
                         _counts([len(values) for values in columns if values])])
        for first, name in ((next(iter(found)), name) for name in list(found)[1:]):
            both = [mine.keys() & its.keys() for mine, its in zip(found[name], found[first], strict=True)]
            if max(map(len, both)) > 1:
                rows.append([title, f'{name} against {first}', *(
                    _difference(mine, its) if len(shared) > 1 else '-'
                    for mine, its, shared in zip(found[name], found[first], both, strict=True)),
                    _counts([len(shared) for shared in both if len(shared) > 1])])
    segments = [['frames of joined clips', *SEGMENTATION], ['---'] * (len(SEGMENTATION) + 1)]
    for line in [line for line in lines if line['protocol'] == 'segmentation'][:1]:
        segments.append(['commonest class', f'{line["metrics"][""]["segmentation/majority"]:.1f}',
                         *[''] * (len(SEGMENTATION) - 1)])
    for protocol, title in SEGMENTED.items():
        for line in lines:
            if line['protocol'] == protocol:
                found = line['metrics']['']
                segments.append([title.format(line['encoder']),
                                 *(f'{found[f"segmentation/{name}"]:.1f}' for name in SEGMENTATION)])
    return _markdown(rows) + '\n\n' + _markdown(segments)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _trained_titles() -> Iterator[tuple[str, str]]:
    yield 'linear', 'linear (lr 3, 100 epochs)'
    for labels, epochs in LABELS.items():
        named = f'{labels} label{"s" * (labels > 1)} a class' if labels else 'all labels'
        yield f'finetune {labels}', f'finetuned, {named}, {epochs} epochs'
        yield f'scratch {labels}', f'from scratch, {named}, {epochs} epochs'
    for data in SPLITS:
        title = next(title for title, (key, _) in COLUMNS.items() if key == data).partition(',')[0]
        yield f'from {data}', f'kNN after finetuning on {title}'


def _cell(group: Sequence[dict[str, Any]], encoder: str, column: tuple[str, str], metric: str) -> str:
    return _mean(_values(group, encoder, column, metric))


def _values(group: Sequence[dict[str, Any]], encoder: str, column: tuple[str, str], metric: str) -> dict[int, float]:
    """A number of an encoder on a test part, by seed."""
    data, part = column
    return {line['seed']: line['metrics'][part][metric] for line in group
            if (line['encoder'], line['data']) == (encoder, data) and metric in line['metrics'].get(part, {})}


def _difference(values: dict[int, float], others: dict[int, float]) -> str:
    mean, half = paired(values, others)
    return f'{signed(mean)} ± {half:.1f}'


def _counts(numbers: Sequence[int]) -> str:
    return str(min(numbers)) + f' to {max(numbers)}' * (min(numbers) < max(numbers))


def _mean(values: Mapping[int, float]) -> str:
    spread = f' ± {statistics.stdev(values.values()):.1f}' if len(values) > 1 else ''
    return f'{statistics.mean(values.values()):.1f}{spread}' if values else ''


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
