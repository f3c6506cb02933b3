"""Tell on which body parts the actionlets of every class lie: a table, and a CSV file.

Any encoder will do: ActCLR finds actionlets against the static anchor of its training, every other one against the mean
motion of the data.

Example:
    python tools/analysis_tools/actionlet_parts.py configs/actclr/actclr_joint_utdmhad_xsub.py \\
        work_dirs/utd/epoch_300.pth
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser, add_model_and_data
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', metavar='FILE', help='CSV file to write as well')
    add_model_and_data(parser, 'both', stream=True)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Load the model, find the actionlets and print the shares."""
    args = parse_args(argv)
    from mmactclr.apis import load_for_test
    from mmactclr.apis.actionlets import actionlet_part_shares
    from mmactclr.evaluation import format_table
    from mmactclr.registry import DATASETS
    from mmactclr.utils import write_csv
    model, cfg = load_for_test(args.config, args.checkpoint, args.cfg_options)
    dataset = DATASETS.build(dict(cfg.test_dataloader.dataset, subset=args.split_part))
    shares = actionlet_part_shares(model, dataset, args.stream)
    print(f'share of the actionlet on each body part in %, {len(dataset)} sequences of {cfg.data_root}')
    print(format_table({name: {part: 100 * share for part, share in parts.items()} for name, parts in shares.items()}))
    if args.out:
        parts = list(next(iter(shares.values())))
        rows = ([name, *(f'{row[part]:.4f}' for part in parts)] for name, row in shares.items())
        print(f"written: {write_csv(Path(args.out), ['class', *parts], rows)}")


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
