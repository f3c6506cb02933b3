"""Make one table of many runs, from the metrics.json in their work dirs.

Runs with the same metrics share a table; with --metrics all runs are in one. Runs that differ in their seed alone can
be averaged.

Examples:
    python tools/analysis_tools/collect_results.py work_dirs
    python tools/analysis_tools/collect_results.py work_dirs --metrics 'knn/*_k20' --over-seeds --csv results.csv
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs='+', help='work dirs, or folders that hold some')
    parser.add_argument('--metrics', nargs='+', metavar='PATTERN', default=[],
                        help="only these, e.g. 'linear/*' or '*_mean_class'; default all but those of single streams, "
                             'equal weights, confidence intervals, mean over classes and calibration')
    parser.add_argument('--baselines', action='store_true', help='what a test was compared with, as runs of their own')
    parser.add_argument('--over-seeds', action='store_true',
                        help='mean and standard deviation of runs that differ in their seed alone')
    parser.add_argument('--csv', metavar='FILE', help='write a table with a row a number as well')
    parser.add_argument('--out', metavar='FILE', help='write the Markdown to a file as well')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Read the runs and print the tables."""
    args = parse_args(argv)
    from mmactclr.evaluation import as_markdown, as_records, choose_metrics, over_seeds, read_results
    from mmactclr.utils import write_csv, write_text
    results = read_results(args.folders, args.baselines)
    if args.over_seeds:
        results = over_seeds(results)
    results = choose_metrics(results, args.metrics)
    table = as_markdown(results, single=bool(args.metrics))
    print(table)
    if args.csv:
        print(f'written: {write_csv(Path(args.csv), *as_records(results))}')
    if args.out:
        print(f'written: {write_text(Path(args.out), table)}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
