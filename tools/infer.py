"""What a trained model says of recordings: class, embedding, actionlet, labels of frames, neighbours, a picture.

    python tools/infer.py CKPT my_recording.csv
    python tools/infer.py CKPT long.npy --layout coco17 --window 60 --out results
    python tools/infer.py CKPT wave.bvh --gallery gallery.npz --gif --view 3d --out results

INPUT is a file (.skeleton of NTU, CSV, BVH, JSON of a pose estimator, npz, npy), a zip or folder of them, or a skeleton
archive. With --out DIR: results.json, results.npz (embedding, scores, actionlet of every recording) and, with --gif or
--mp4, an animation of every recording.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, add_view
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', metavar='CKPT', help='checkpoint of tools/train.py, or a converted public one')
    parser.add_argument('inputs', metavar='INPUT', nargs='+', help='recordings')
    parser.add_argument('--config', help='config of the model, where the checkpoint does not say what it is')
    parser.add_argument('--out', metavar='DIR', help='folder for results; without it they are only printed')
    parser.add_argument('--gallery', metavar='NPZ', help='of tools/gallery.py build: show the nearest neighbours')
    parser.add_argument('--top', type=int, default=5, metavar='N',
                        help='classes and neighbours shown (default: %(default)s)')
    parser.add_argument('--gif', action='store_true', help='animate every recording, with its actionlet; needs --out')
    parser.add_argument('--mp4', action='store_true', help='the same as a video; needs imageio-ffmpeg as well')
    add_view(parser)
    parser.add_argument('--window', type=int, metavar='T', help='frames of a window that slides over long recordings')
    parser.add_argument('--hop', type=int, metavar='T', help='frames from one window to the next; default half of one')
    parser.add_argument('--layout', metavar='NAME', help='joints of arrays, default those of the model, and of files '
                                                          'that do not name theirs')
    parser.add_argument('--unit', help='unit of arrays, default metres, and of files that do not name theirs, such as '
                                       'cm; unknown is estimated')
    parser.add_argument('--up', metavar='AXIS', help='axis that points up, such as +z')
    parser.add_argument('--metres-per-unit', type=float, metavar='X')
    parser.add_argument('--format', help='of INPUT where its name does not tell, see convert.py --help')
    parser.add_argument('--anchor', metavar='INPUT', help='recordings whose mean motion actionlets are found against, '
                                                          'for models without an anchor of their own')
    parser.add_argument('--device', default='cpu', help='cpu, cuda or cuda:N (default: %(default)s)')
    args = parser.parse_args(argv)
    for option in ('gif', 'mp4'):
        if getattr(args, option) and not args.out:
            parser.error(f'--{option} needs --out DIR, a folder to write to')
    if args.view != 'flat' and not (args.gif or args.mp4):
        parser.error(f'--view {args.view} is how --gif and --mp4 are drawn; give one of them')
    return args


def main(argv: list[str] | None = None) -> None:
    """Look at the recordings, print and write what was found."""
    args = parse_args(argv)
    from mmactclr.apis import SkeletonInferencer
    from mmactclr.apis.inferencing.command import answer
    from mmactclr.visualization import Viewpoint
    from mmactclr.visualization.animation import require_ffmpeg
    view = Viewpoint(args.elevation, args.azimuth) if args.view == '3d' else None
    if args.mp4:
        require_ffmpeg()
    inferencer = SkeletonInferencer(args.checkpoint, args.config, args.device)
    answer(inferencer, args, view)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
