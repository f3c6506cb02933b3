"""How often the actionlet of a checkpoint lies on the one limb that moves.

Made-up sequences in which exactly one arm or leg moves, each also mirrored left to right, are shown to the checkpoint,
to untrained encoders, and to untrained encoders whose batch-norm statistics were taken from the sequences; the limb
with the highest mean of A (Eq. 4-5) over its joints and all moments counts as found. Chance is 25%.

Example:
    python benchmarks/actionlet_limbs.py configs/demo/actclr_motion_demo.py work_dirs/demo/actclr/epoch_100.pth
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the checkpoint; its layout must be ntu25')
    parser.add_argument('checkpoint', help='checkpoint of ActCLR')
    parser.add_argument('--num', type=int, default=120, help='sequences, each also mirrored (default: 120)')
    parser.add_argument('--seeds', type=int, default=5, help='untrained encoders and shuffles to average (default: 5)')
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    import torch

    from mmactclr.apis import init_model
    from mmactclr.datasets.synthetic import single_limb_sequences
    from mmactclr.evaluation import fit_batch_statistics, limb_accuracy, shuffle_joints
    from mmactclr.structures import get_layout
    from mmactclr.transforms import prepare
    from mmactclr.utils import load_config
    cfg = load_config(args.config)
    layout, made = get_layout('ntu25'), single_limb_sequences(args.num)
    limb = torch.from_numpy(made.label)
    joints, mask = prepare(made.sequences, layout, cfg.num_frames, cfg.max_persons)

    def found(model: torch.nn.Module) -> torch.Tensor:
        return model.actionlet(joints, mask)[:, 0]

    trained = found(init_model(cfg, args.checkpoint))
    rows = {'checkpoint': [limb_accuracy(trained, limb, layout)],
            'checkpoint, joints shuffled': [], 'untrained': [], 'untrained, batch statistics of the data': []}
    for seed in range(args.seeds):
        rows['checkpoint, joints shuffled'].append(limb_accuracy(shuffle_joints(trained, seed), limb, layout))
        torch.manual_seed(seed)
        model = init_model(cfg)
        model.set_anchor(joints.mean(0))
        rows['untrained'].append(limb_accuracy(found(model), limb, layout))
        fit_batch_statistics(model, joints, mask)
        rows['untrained, batch statistics of the data'].append(limb_accuracy(found(model), limb, layout))
    print(f'{len(limb)} sequences, moving limb found, % (mean, lowest to highest)')
    for name, values in rows.items():
        spread = f'  ({min(values):.1f} to {max(values):.1f})' if len(values) > 1 else ''
        print(f'{name:<42}{statistics.mean(values):5.1f}{spread}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
