"""How often the actionlet of a checkpoint lies on the limb that a class is named after, on real recordings.

Of the classes whose names name a limb (right hand wave, left foot forward), the limb with the highest mean of A
(Eq. 4-5) over its joints and all moments counts as found, for a pair of limbs the two highest. Most data sets name the
right arm nearly always, so that always guessing it would do well: arms and legs are averaged, and every sequence
is looked at in the mirror, too, where right is left. Beside the checkpoint stand untrained encoders, the limb whose
joints are fastest, and the constant guess.

Example:
    python benchmarks/named_limbs.py configs/benchmarks/transfer/checkpoint_utdmhad_xsub.py actclr.pth
"""
import argparse
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault('OMP_NUM_THREADS', '1')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import OptionsAction
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or the name of a config of this package')
    parser.add_argument('checkpoint', help='checkpoint of that config')
    parser.add_argument('--seeds', type=int, default=5, help='untrained encoders to average (default: 5)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='K=V', default={},
                        help='override entries of the config, e.g. data_root=data/other')
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    import torch
    from torch import Tensor

    from mmactclr.apis import load_for_test
    from mmactclr.apis.actionlets import actionlet_finder
    from mmactclr.engine.hooks.static_anchor_hook import mean_motion
    from mmactclr.errors import ConfigError
    from mmactclr.evaluation import limb_scores, mirrored_limbs, motion_energy, named_limbs
    from mmactclr.evaluation.named_limbs import LIMBS
    from mmactclr.registry import DATASETS, MODELS
    from mmactclr.transforms import mirror
    model, cfg = load_for_test(args.config, args.checkpoint, args.cfg_options)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset='both'))
    layout, labels = dataset.metainfo['layout'], torch.from_numpy(dataset.labels)
    limbs = {k: (name, named_limbs(name)) for k, name in enumerate(dataset.metainfo['classes']) if named_limbs(name)}
    if not limbs:
        raise ConfigError(f'{cfg.data_root}: no class is named after a limb, such as "right hand wave"')
    kept = [i for i, label in enumerate(dataset.labels) if label in limbs]
    labels = labels[kept]
    batch = dataset.__getitems__(kept)
    views = {'original': (batch['inputs'], limbs), 'mirrored': (mirror(batch['inputs'], layout), {
        k: (name, mirrored_limbs(named)) for k, (name, named) in limbs.items()})}

    def measured(weigh) -> dict[str, object]:
        return {view: limb_scores(weigh(joints), labels, named, layout) for view, (joints, named) in views.items()}

    def always_right(joints: Tensor) -> Tensor:
        weight = joints.new_zeros(joints.shape[:-1])
        for rank, limb in enumerate(LIMBS):
            weight[..., list(layout.parts[limb])] = len(LIMBS) - rank
        return weight

    def by(encoder) -> dict[str, object]:
        find = actionlet_finder(encoder, dataset)
        return measured(lambda joints: torch.cat([
            find(joints[i:i + 128], batch['mask'][i:i + 128]) for i in range(0, len(joints), 128)]))

    found = by(model)
    rows = {'checkpoint': [found], 'untrained encoder': [], 'fastest limb': [measured(motion_energy)],
            'always the right arm': [measured(always_right)]}
    for seed in range(args.seeds):
        torch.manual_seed(seed)
        # built anew: a copy of the trained one would keep its batch-norm statistics
        fresh = MODELS.build(cfg.model)
        fresh.init_weights()
        for branch in fresh.branches().values():
            if hasattr(branch, 'set_anchor'):
                branch.set_anchor(mean_motion(dataset))
        rows['untrained encoder'].append(by(fresh))
    print(f'{len(kept)} sequences of {len(limbs)} classes of {cfg.data_root} that name limbs, named limb found, %')
    print(f'{"":<20}' + ''.join(f'{name:>22}' for name in rows))
    for view in views:
        for group in ('arms', 'legs', 'pairs', 'balanced'):
            values = [statistics.mean(getattr(run[view], group) for run in runs) for runs in rows.values()]
            print(f'{f"{view}, {group}":<20}' + ''.join(f'{value:>22.1f}' for value in values))
    means = [statistics.mean(run[view].balanced for run in runs for view in views) for runs in rows.values()]
    print(f'{"mean balanced":<20}' + ''.join(f'{value:>22.1f}' for value in means))
    print('\nby class, checkpoint: original, mirrored')
    for name, share in found['original'].classes.items():
        limb = ' and '.join(named_limbs(name)).replace('_', ' ')
        print(f'{name:<44}{limb:<26}{share:6.1f}{found["mirrored"].classes[name]:7.1f}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
