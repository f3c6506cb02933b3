"""What each part of ActCLR adds: the parts of the paper one by one, its anchor, mask and memory, on the pool.

The transformations are those of the paper, or with --views short those of the short recipe, which gives momentum
contrast stronger ones and stage two milder ones.

All begin with the same encoder, whose projector and memory are warmed up by stage one with the encoder frozen; then
stage two, or momentum contrast as the control, for the same number of steps, and momentum contrast for about the same
seconds. The encoder is that of --encoder, such as converted public weights (docs/public_weights.md).

Example:
    python benchmarks/ablation.py --encoder aimclr.pth --jobs 2
    python benchmarks/ablation.py --table
    python benchmarks/ablation.py --figure docs/images/memory_sizes.png
"""
import argparse
import os
import re
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import Grid, Run, add_arguments, difference, finish, over_sets, read_lines, sets_table  # noqa: E402

from mmactclr.errors import ConfigError  # noqa: E402

MOCO, ACTCLR = 'moco_joint_pool_xsub', 'actclr_joint_pool_xsub'
EPOCHS, WARM_UP, BATCH = 3, 2, 64
# momentum contrast makes as many in the seconds that stage two takes for EPOCHS
EPOCHS_OF_THE_SECONDS = 5
INFO_NCE = dict(_delete_=True, type='InfoNCELoss', temperature=0.1)
PLAIN: dict[str, Any] = dict(key_pooling='average', mining_loss=INFO_NCE)
# rows and what differs from the whole method
PARTS: dict[str, dict[str, Any]] = {
    'transformation': PLAIN,
    'transformation and SAFP': dict(mining_loss=INFO_NCE),
    'transformation and mining': dict(key_pooling='average'),
    'ActCLR': {},
    'no actionlet: all of it transformed': dict(terms=[dict(inside='non', outside='non')], key_pooling='average'),
    'anchor of the batch': dict(anchor='batch'),
    'anchor: mean feature of the batch': dict(anchor='feature'),
    'anchors of 8 groups': dict(num_anchors=8),
    'mask by its maximum': dict(actionlet_head=dict(selection='max')),
    'memory of 256': dict(memory=dict(size=256)),
    'memory of 1024': dict(memory=dict(size=1024)),
    'memory of 4096': dict(memory=dict(size=4096))}
CONTROL, WHOLE, START = 'MoCo', 'ActCLR', 'warm-up alone'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, 'ablation')
    parser.add_argument('--encoder', type=Path, help='checkpoint of the encoder that all begin with')
    parser.add_argument('--variants', nargs='+', choices=[CONTROL, *PARTS], default=[CONTROL, *PARTS], metavar='NAME',
                        help='rows (default: all)')
    parser.add_argument('--views', choices=('paper', 'short'), default='paper',
                        help='transformations of the paper, or of the short recipe, whose lines and runs lie in a file '
                             'and a folder that end in _short (default: %(default)s)')
    parser.add_argument('--lr', type=float, default=0.02, help='at the beginning of a run (default: %(default)s)')
    parser.add_argument('--figure', type=Path, help='run nothing, draw accuracy against the size of the memory')
    args = parser.parse_args()
    if args.views == 'short':
        for name in ('results', 'out'):
            if getattr(args, name) == parser.get_default(name):
                path = getattr(args, name)
                setattr(args, name, path.with_name(f'{path.stem}_short{path.suffix}'))
    return args


def runs_of(args: argparse.Namespace) -> tuple[list[Run], list[Run]]:
    """Warm-ups, and the runs that go on from them."""
    encoder = dict(type='STGCN', channels=[16, 16, 16, 16, 32, 32, 32, 64, 64, 256], strided_units=[5, 8])
    frozen = dict(custom_keys=dict(backbone=dict(lr_mult=0, decay_mult=0)))
    common: dict[str, Any] = dict(train_dataloader=dict(batch_size=BATCH))
    warm, runs = [], []
    for seed in args.seeds:
        for variant in args.variants:
            model = dict(backbone=encoder, data_preprocessor=dict(views=views(args.views, variant)))
            # a memory of another size is filled before, too
            memory = {key: value for key, value in PARTS.get(variant, {}).items() if key == 'memory'}
            start = Run(START + (f', {variant}' if memory else ''), MOCO, WARM_UP, seed=seed,
                        baselines=not memory, changes={
                **common, 'model': {**model, 'data_preprocessor': dict(views=views(args.views, CONTROL)), **memory},
                'init_from': str(args.encoder),
                'optim_wrapper': dict(paramwise_cfg=frozen, optimizer=dict(lr=0.05))})
            if start not in warm:
                warm.append(start)
            if variant != CONTROL:
                model.update(stage_epochs=(0, EPOCHS), **PARTS[variant])
            run = Run(variant, MOCO if variant == CONTROL else ACTCLR, EPOCHS, seed=seed, start=start,
                      changes={**common, 'model': model, 'optim_wrapper': dict(optimizer=dict(lr=args.lr))})
            runs.append(run)
            if variant == CONTROL:
                runs.append(replace(run, budget='seconds', epochs=EPOCHS_OF_THE_SECONDS))
    return warm, runs


def views(kind: str, variant: str) -> dict[str, Any]:
    """Transformations of a variant: nothing to change, or those of the paper."""
    if kind == 'short':
        return {}
    from mmactclr.utils import load_config
    found = load_config('actclr_joint_ntu60_xsub').model.data_preprocessor.views.to_dict()
    return {'_delete_': True, **({name: found[name] for name in ('query', 'key')} if variant == CONTROL else found)}


def main() -> None:
    """Run what is missing, then print the table."""
    args = parse_args()
    if args.figure:
        print(f'written: {figure(read_lines(args.results), args.figure)}')
        return
    complete = True
    if not args.table:
        if args.encoder is None or not args.encoder.is_file():
            raise ConfigError(f'--encoder is {args.encoder}, expected a checkpoint, as public weights converted by '
                            'tools/model_converters/official_to_mmactclr.py')
        warm, runs = runs_of(args)
        grid = Grid(args)
        complete = grid.drive(warm) and grid.drive(runs)
    finish(args, table, complete)


def table(lines: list[dict[str, Any]]) -> str:
    """Rows in the order of PARTS; differences from momentum contrast of the same number of steps, then from ActCLR.

    *Selected* is the share of joints and moments whose mask is above one half, at the end of a run.
    """
    rows = [(START, 'steps'), (CONTROL, 'steps'), (CONTROL, 'seconds'), *((name, 'steps') for name in PARTS)]
    head = ['against ActCLR', 'kNN', 'linear', 'selected, %', 'seeds']
    second = [head, ['---'] * len(head)]
    for name in PARTS:
        shares = [line['scalars']['mask_share'] for line in lines if line['variant'] == name]
        if shares:
            differences = [difference(lines, (name, 'steps'), (WHOLE, 'steps'), metric) for metric in ('knn', 'linear')]
            second.append([name, *(differences if name != WHOLE else ('', '')), f'{100 * statistics.mean(shares):.0f}',
                           str(len(shares))])
    return sets_table(lines, rows, (CONTROL, 'steps')) + '\n\n' + '\n'.join(f'| {" | ".join(row)} |' for row in second)


def figure(lines: list[dict[str, Any]], path: Path) -> Path:
    """kNN and linear of the whole method, mean of the sets, against the size of its memory (figure 2)."""
    from mmactclr.utils import load_config
    from mmactclr.visualization import draw_lines
    variants = {load_config(ACTCLR).model.memory.size: WHOLE}
    variants.update({int(found[1]): name for name in PARTS if (found := re.fullmatch(r'memory of (\d+)', name))})
    panels, errors = dict[str, dict[str, dict]](), dict[str, dict[str, dict]]()
    for metric, title in (('knn', 'kNN (k 20)'), ('linear', 'logistic regression')):
        values = {size: [over_sets(line, metric) for line in lines if line['variant'] == name]
                  for size, name in variants.items()}
        panels[title] = {WHOLE: {size: statistics.mean(some) for size, some in values.items() if some}}
        errors[title] = {WHOLE: {size: statistics.stdev(some) / len(some) ** .5 if len(some) > 1 else 0.
                                 for size, some in values.items() if some}}
    return draw_lines(panels, path, 'keys in the memory', 'accuracy, mean of three sets, %',
                      'bars: standard error over seeds', doubling=True, errors=errors)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
