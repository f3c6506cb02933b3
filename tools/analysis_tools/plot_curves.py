"""Draw results of one or several runs over their epochs, a panel for each result, a line for each run.

Figure 1 of the supplement of Lin et al. (CVPR 2023): kNN accuracy against epochs. Reads the logs that a training leaves
in its work dir (*/vis_data/scalars.json).

Example:
    python tools/analysis_tools/plot_curves.py work_dirs/actclr work_dirs/moco --metrics "knn/*" --out curves.png
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, file_name
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='folders of tools/train.py')
    parser.add_argument('--metrics', nargs='+', default=['knn/*'], metavar='NAME',
                        help='results or losses to draw, * and ? as for file names; default knn/*')
    parser.add_argument('--out', required=True, type=file_name('.png'), metavar='FILE', help='PNG file to write')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Read the logs and draw."""
    args = parse_args(argv)
    from mmactclr.apis.comparing import epoch_lines
    from mmactclr.visualization import draw_lines
    from mmactclr.visualization.curves import is_loss
    panels = epoch_lines(args.work_dirs, args.metrics)
    units = {name: 'loss' if is_loss(name) else 'accuracy, %' for name in panels}
    path = draw_lines(panels, args.out, 'epoch', units)
    for name, lines in panels.items():
        for run, line in lines.items():
            last, best = max(line), (min if is_loss(name) else max)(line, key=line.get)
            print(f'{name}  {run}: {line[last]:.2f} at epoch {last}, best {line[best]:.2f} at epoch {best}')
    print(f'written: {path}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
