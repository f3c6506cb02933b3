"""Draw a sequence and transformed copies of it with their actionlets, and how far those agree, in numbers too.

Figure 6 of the supplement of Lin et al. (CVPR 2023). The same sequence is seen from other sides, mirrored, sheared,
with noise, cut and reversed; the actionlet of every copy is brought back to joints and moments of the original, and the
intersection over union of what is selected (A above its mean) is printed, as a mean over the sequences of the split.
ActCLR finds actionlets against the static anchor of its training, every other encoder against the mean motion of the
data.

Example:
    python tools/visualization/draw_actionlet_views.py configs/actclr/actclr_joint_utdmhad_xsub.py \\
        work_dirs/first/epoch_300.pth --class "right hand wave" --out views.png
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
    parser.add_argument('--class', dest='shown', metavar='NAME', help='class of what is drawn; default any')
    parser.add_argument('--num', type=int, default=128, help='sequences that the numbers are the mean of; default 128')
    parser.add_argument('--seed', type=int, default=0, help='of shear, noise and choice; default 0')
    add_model_and_data(parser, stream=True)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Load the model, look at the copies, draw and print."""
    args = parse_args(argv)
    import numpy as np
    import torch

    from mmactclr.apis import load_for_test
    from mmactclr.apis.actionlet_views import actionlet_agreement
    from mmactclr.apis.actionlets import actionlet_finder
    from mmactclr.errors import ConfigError, DataError
    from mmactclr.registry import DATASETS
    from mmactclr.visualization import OverlapRow, draw_overlap, overlap_cells
    model, cfg = load_for_test(args.config, args.checkpoint, args.cfg_options)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset=args.split_part))
    if args.num < 1:
        raise ConfigError(f'--num is {args.num}, expected 1 or more')
    classes = dataset.metainfo['classes']
    if args.shown is not None and args.shown not in classes:
        raise ConfigError(f'--class {args.shown!r}: the data have {", ".join(classes) or "no classes"}')
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(args.seed)).tolist()
    first = [i for i in order if args.shown is None or classes[dataset.labels[i]] == args.shown]
    if not first:
        raise DataError(f'{cfg.data_root}, {cfg.split} {args.split_part}: there is no sequence of {args.shown!r}')
    chosen = [first[0], *(i for i in order if i != first[0])][:args.num]
    batch, layout = dataset.__getitems__(chosen), dataset.metainfo['layout']
    original, found = actionlet_agreement(actionlet_finder(model, dataset, args.stream), batch['inputs'], batch['mask'],
                                          layout, args.seed)
    person = int(batch['mask'][0].nonzero()[0])
    own = original[0, person].numpy()
    rows = [OverlapRow('original', batch['inputs'][0, person].numpy(), own, overlap_cells(own, own))]
    print(f'IoU of actionlets with those of the originals, mean of {len(chosen)} sequences of {cfg.data_root}')
    for each in found:
        mean = np.nanmean(each.iou.numpy())
        rows.append(OverlapRow(each.name, each.keypoint[0, person].numpy(), each.own[0, person].numpy(),
                               overlap_cells(own, each.back[0, person].numpy()),
                               f'IoU {each.iou[0]:.2f}, mean {mean:.2f}'))
        print(f'{each.name:<24}{mean:6.2f}')
    name = classes[dataset.labels[chosen[0]]] if classes else dataset.name_of(int(dataset.index[chosen[0]]))
    title = f'{name}; {Path(args.checkpoint).name}; mean: {len(chosen)} sequences of {Path(cfg.data_root).name}'
    print(f'written: {draw_overlap(rows, layout, args.out, title)}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
