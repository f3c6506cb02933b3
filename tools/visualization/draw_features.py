"""Draw the features of sequences in the plane, coloured by class: t-SNE, or UMAP where it is installed.

Features are those of the frozen encoder, pooled. t-SNE needs openTSNE (pip install openTSNE), UMAP umap-learn.

Example:
    python tools/visualization/draw_features.py configs/actclr/actclr_joint_utdmhad_xsub.py \\
        work_dirs/first/epoch_300.pth --out tsne.png
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, add_model_and_data, file_name
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', required=True, type=file_name('.png'), metavar='FILE', help='PNG file to write')
    parser.add_argument('--method', choices=['tsne', 'umap'], default='tsne', help='default tsne')
    parser.add_argument('--perplexity', type=float, default=30., help='neighbours that count; default 30')
    parser.add_argument('--seed', type=int, default=0, help='of the arrangement; default 0')
    add_model_and_data(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Extract the features, arrange them and draw."""
    args = parse_args(argv)
    from mmactclr.apis import load_for_test
    from mmactclr.apis.plane import TITLES, embed_in_plane, import_method
    from mmactclr.apis.run_examples import dataset_features
    from mmactclr.registry import DATASETS
    from mmactclr.visualization import draw_scatter
    import_method(args.method)
    model, cfg = load_for_test(args.config, args.checkpoint, args.cfg_options)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset=args.split_part))
    features, _ = dataset_features(model, dataset)
    points = embed_in_plane(features.numpy(), args.method, args.seed, args.perplexity)
    title = (f'{TITLES[args.method]} of {len(points)} sequences of {Path(cfg.data_root).name}, {cfg.split} '
             f'{args.split_part}; {Path(args.checkpoint).name}')
    print(f"written: {draw_scatter(points, dataset.labels, dataset.metainfo['classes'], args.out, title)}")


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
