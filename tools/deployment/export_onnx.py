"""A trained model as an ONNX file that runs without PyTorch and without this package.

    python tools/deployment/export_onnx.py CKPT model.onnx
    python tools/deployment/export_onnx.py CKPT model.onnx --part actionlet --anchor data/mine --check

Inputs: keypoint (N, M, T, V, C), prepared joints, and mask (N, M), who is there; N and T are free. The file is written
only if it gives what the model gives. docs/examples/run_onnx.py runs it with numpy and onnxruntime alone.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', metavar='CKPT', help='checkpoint of tools/train.py, or a converted public one')
    parser.add_argument('out', metavar='OUT.onnx', type=Path, help='file to write')
    parser.add_argument('--part', choices=('embedding', 'recognizer', 'actionlet'),
                        help='embedding alone, with class scores, or with actionlets and all that the model has; '
                             'default: class scores where there is a classifier')
    parser.add_argument('--opset', type=int, default=18, help='version of the ONNX operators (default: %(default)s)')
    parser.add_argument('--check', action='store_true',
                        help='compare at batches of 1 and 3 and 17, 50 and 120 frames, besides the two inputs that are '
                             'always compared')
    parser.add_argument('--config', help='config of the model, where the checkpoint does not say what it is')
    parser.add_argument('--anchor', metavar='INPUT', nargs='+',
                        help='recordings whose mean motion actionlets are found against, for models without an anchor '
                             'of their own')
    parser.add_argument('--layout', metavar='NAME', help='joints of the anchor, where its files do not say')
    parser.add_argument('--unit', help='unit of the anchor, where its files do not say')
    parser.add_argument('--up', metavar='AXIS', help='axis of the anchor that points up, such as +z')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Export and say how far file and model lie apart."""
    args = parse_args(argv)
    from mmactclr.apis.deployment import export_onnx, read_metadata
    path = args.out if args.out.suffix == '.onnx' else args.out.with_name(args.out.name + '.onnx')
    found = export_onnx(args.checkpoint, path, args.part, args.opset, args.config, args.anchor, args.check,
                        layout=args.layout, unit=args.unit, up=args.up)
    for name, output in read_metadata(path)['outputs'].items():
        print(f'{name} ({", ".join(output["shape"])}): {output["meaning"]}')
    print('largest difference from the model, relative to the largest value of the output:')
    for shape, values in found.items():
        print(f'    keypoint {shape}: ' + ', '.join(f'{name} {value:.1e}' for name, value in values.items()))
    print(f'written: {path}, {path.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
