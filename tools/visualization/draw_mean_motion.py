"""Draw the mean motion of the training set, the static anchor that actionlets are found against, as a row of skeletons.

Figure 5 of the supplement of Lin et al. (CVPR 2023). Sequences are prepared as the config says. With a checkpoint of
ActCLR its own anchor is drawn below.

Example:
    python tools/visualization/draw_mean_motion.py configs/actclr/actclr_joint_utdmhad_xsub.py --out anchor.png
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, add_config_options, file_name
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or the name of a config of this package')
    parser.add_argument('--checkpoint', metavar='FILE', help='checkpoint whose anchor is drawn, too')
    parser.add_argument('--out', required=True, type=file_name('.png'), metavar='FILE', help='PNG file to write')
    add_config_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Average the sequences and draw them."""
    args = parse_args(argv)
    from mmactclr.apis import load_for_test
    from mmactclr.apis.run import explain_build_errors
    from mmactclr.engine.hooks.static_anchor_hook import mean_motion
    from mmactclr.errors import ConfigError
    from mmactclr.registry import DATASETS
    from mmactclr.utils import load_config
    from mmactclr.visualization import draw_mean_motion
    if args.checkpoint:
        model, cfg = load_for_test(args.config, args.checkpoint, args.cfg_options)
    else:
        cfg = load_config(args.config, args.cfg_options)
    with explain_build_errors(cfg.filename):
        dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset='train'))
    rows = {'mean motion': mean_motion(dataset).numpy()}
    if args.checkpoint:
        anchors = {stream: branch.anchor for stream, branch in model.branches().items()
                   if bool(getattr(branch, 'anchor_ready', False))}
        if 'joint' not in anchors:
            raise ConfigError(f'{args.checkpoint}: there is no anchor of joints to draw (found '
                              f'{", ".join(anchors) or "none"}); leave --checkpoint out')
        rows["checkpoint's anchor"] = anchors['joint'].cpu().numpy()
    title = f'mean motion of {len(dataset)} sequences of {Path(cfg.data_root).name}, {cfg.split} train'
    print(f"written: {draw_mean_motion(rows, dataset.metainfo['layout'], args.out, title)}")


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
