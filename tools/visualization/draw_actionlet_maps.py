"""Draw the mean actionlet of every class over joints and over time, as two heat maps.

Figures 3 and 4 of the supplement of Lin et al. (CVPR 2023). Every sequence counts alike; a column adds up to 100%.
ActCLR finds actionlets against the static anchor of its training, every other encoder against the mean motion of the
data.

Example:
    python tools/visualization/draw_actionlet_maps.py configs/actclr/actclr_joint_utdmhad_xsub.py \\
        work_dirs/first/epoch_300.pth --out work_dirs/first/maps
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, add_model_and_data
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for joints.png and frames.png')
    add_model_and_data(parser, stream=True)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Load the model, find the actionlets and draw their means."""
    args = parse_args(argv)
    import numpy as np

    from mmactclr.apis import load_for_test
    from mmactclr.apis.actionlets import actionlet_class_shares
    from mmactclr.registry import DATASETS
    from mmactclr.visualization import draw_joint_heat_map, draw_time_heat_map
    model, cfg = load_for_test(args.config, args.checkpoint, args.cfg_options)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset=args.split_part))
    shares = actionlet_class_shares(model, dataset, args.stream)
    title = (f'{Path(args.checkpoint).name}; {len(dataset)} sequences of {Path(cfg.data_root).name}, {cfg.split} '
             f'{args.split_part}')
    joints = draw_joint_heat_map(np.stack([each.joints for each in shares.values()]), list(shares),
                                 dataset.metainfo['layout'], Path(args.out) / 'joints.png', title)
    frames = draw_time_heat_map(np.stack([each.cells for each in shares.values()]), list(shares), cfg.num_frames,
                                Path(args.out) / 'frames.png', title)
    print(f'{joints}, {frames}: {len(shares)} classes, {sum(each.count for each in shares.values())} sequences')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
