"""Write a page that shows a recording in three dimensions, to turn and to play, with its actionlet if a model is given.

The page is one file that needs no network. INPUT is whatever tools/infer.py takes. Needs plotly (pip install plotly).

Example:
    python tools/visualization/interactive_motion.py data/utd_mhad --name a3_s1_t1 --out wave.html
    python tools/visualization/interactive_motion.py data/utd_mhad --name a3_s1_t1 --checkpoint actclr.pth \\
        --anchor data/utd_mhad --out wave.html
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, file_name
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('input', metavar='INPUT', help='recording, or an archive of them')
    parser.add_argument('--out', required=True, type=file_name('.html'), metavar='FILE', help='HTML file to write')
    parser.add_argument('--name', help='which recording, where INPUT holds several; default the first')
    parser.add_argument('--checkpoint', metavar='CKPT', help='model whose actionlet colours the limbs')
    parser.add_argument('--config', help='config of the model, where the checkpoint does not say what it is')
    parser.add_argument('--anchor', metavar='INPUT', help='recordings whose mean motion actionlets are found against, '
                                                          'for models without an anchor of their own')
    parser.add_argument('--layout', metavar='NAME', help='joints of arrays, and of files that do not name theirs')
    parser.add_argument('--unit', help='unit of arrays, default metres, and of files that do not name theirs, such as '
                                       'cm')
    parser.add_argument('--up', metavar='AXIS', help='axis that points up, such as +z; estimated if left out')
    parser.add_argument('--format', help='of INPUT where its name does not tell, see convert.py --help')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Read the recording, find its actionlet and write the page."""
    args = parse_args(argv)
    from mmactclr.apis import SkeletonInferencer, read_recordings
    from mmactclr.apis.inferencing.command import on_recorded_joints, use_anchor
    from mmactclr.errors import ConfigError, DataError
    from mmactclr.visualization.interactive import draw_interactive
    from mmactclr.visualization.motion_clip import MotionClip
    from mmactclr.visualization.stages import upright_recording
    if args.anchor and not args.checkpoint:
        raise ConfigError('--anchor is for the actionlet of a model; give --checkpoint as well')
    options = dict(format=args.format) if args.format else None
    inferencer = SkeletonInferencer(args.checkpoint, args.config) if args.checkpoint else None
    read = inferencer.read if inferencer else read_recordings
    found = read(args.input, args.layout, args.unit, options)
    chosen = [each for each in found if args.name in (None, each.name)]
    if not chosen:
        names = ', '.join(each.name for each in found[:10])
        raise DataError(f'{args.input}: no recording is called {args.name!r}; there are {names}'
                        f'{f" and {len(found) - 10} more" if found[10:] else ""}')
    recording, weight, caption = chosen[0], None, ''
    if inferencer is not None:
        if args.anchor:
            use_anchor(inferencer, args.anchor, dict(layout=args.layout, unit=args.unit, up=args.up, options=options))
        result = inferencer(recording, up=args.up)[0]
        if result.actionlet is None:
            raise ConfigError(f'{args.checkpoint}: the model has no anchor to find actionlets against; name recordings '
                              'whose mean motion is the anchor: --anchor INPUT')
        weight, caption = on_recorded_joints(result.actionlet, inferencer.layout, recording), result.label or ''
    if not caption and recording.label >= 0:
        caption = recording.classes[recording.label]
    clip = MotionClip(caption or 'recording', upright_recording(recording.keypoint, recording.layout, args.up),
                      recording.layout, weight=weight)
    path = draw_interactive(clip, args.out, recording.fps, recording.name)
    print(f'written: {path} ({path.stat().st_size / 2 ** 20:.1f} MB)')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
