"""Draw skeletons with the actionlets that a trained encoder finds in them.

ActCLR finds them against the static anchor of its training, every other encoder against the mean motion of the data.

Example:
    python tools/visualization/draw_actionlets.py configs/actclr/actclr_joint_utdmhad_xsub.py \\
        work_dirs/first/epoch_300.pth --out actionlets.png
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, add_model_and_data, add_view, file_name
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, type=file_name('.png'), metavar='FILE', help='PNG file to write')
    parser.add_argument('--num', type=int, default=6,
                        help='classes to show, a sequence of each; default 6')
    add_view(parser)
    add_model_and_data(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Load the model, find the actionlets and draw them."""
    args = parse_args(argv)
    from mmactclr.apis import find_actionlets, load_for_test
    from mmactclr.registry import DATASETS
    from mmactclr.visualization import Viewpoint, draw_actionlet_sheet
    view = Viewpoint(args.elevation, args.azimuth) if args.view == '3d' else None
    model, cfg = load_for_test(args.config, args.checkpoint, args.cfg_options)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset=args.split_part))
    examples = find_actionlets(model, dataset, args.num)
    data = f'{cfg.data_root}, {cfg.split} {args.split_part}'
    path = draw_actionlet_sheet(
        examples, dataset.metainfo['layout'], args.out,
        caption=f'{Path(cfg.filename).stem}, {Path(args.checkpoint).name}, {data}', view=view)
    print(f'{path}: {len(examples)} rows from {data}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
