"""Search recordings by example: "show me moves like this".

    python tools/gallery.py build CKPT data/mine gallery.npz
    python tools/gallery.py search CKPT gallery.npz wave.csv -k 5

A gallery holds an embedding of every recording of an archive, or of files of any format. A search embeds the example
with the same checkpoint.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest='task', metavar='TASK', required=True)
    build = tasks.add_parser('build', help='embed recordings and write a gallery')
    search = tasks.add_parser('search', help='print the recordings most like an example')
    for task, files in ((build, (('source', 'INPUT', 'archive, file, folder or zip'),
                                 ('gallery', 'NPZ', 'file to write'))),
                        (search, (('gallery', 'NPZ', 'of build'), ('source', 'INPUT', 'recording, or several')))):
        task.add_argument('checkpoint', metavar='CKPT', help='checkpoint whose encoder embeds')
        for name, shown, about in files:
            task.add_argument(name, metavar=shown, help=about)
        task.add_argument('--layout', metavar='NAME', help='joints of arrays, default those of the model, and of files '
                                                           'that do not name theirs')
        task.add_argument('--unit', help='unit of arrays, default metres, and of files that do not name theirs, such '
                                         'as cm; unknown is estimated')
        task.add_argument('--up', metavar='AXIS', help='axis that points up, such as +z')
        task.add_argument('--metres-per-unit', type=float, metavar='X')
        task.add_argument('--format', help='of INPUT where its name does not tell, see convert.py --help')
        task.add_argument('--device', default='cpu', help='cpu, cuda or cuda:N (default: %(default)s)')
    search.add_argument('-k', type=int, default=5, help='recordings shown (default: %(default)s)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Build or search."""
    args = parse_args(argv)
    from mmactclr.apis import MotionGallery, SkeletonInferencer
    from mmactclr.apis.inferencing.command import input_arguments, show_neighbours
    gallery = MotionGallery.load(args.gallery) if args.task == 'search' else None
    inferencer = SkeletonInferencer(args.checkpoint, device=args.device)
    arguments = input_arguments(args)
    if gallery is None:
        gallery = MotionGallery.build(inferencer, args.source, **arguments)
        print(f'{gallery.save(args.gallery)}: {len(gallery)} recordings, {len(gallery.classes)} classes')
        return
    for result in inferencer(args.source, actionlet=False, **arguments):
        show_neighbours(result.name, gallery.search(result, args.k, inferencer))


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
