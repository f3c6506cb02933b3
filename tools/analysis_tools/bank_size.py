"""Train with memory banks of several sizes and draw the accuracy against the size.

Figure 2 of the supplement of Lin et al. (CVPR 2023), who find 8192 best on NTU RGB+D. The runs are part of the
command, one after the other, each in WORK_DIR/size_N. Called again it goes on: what is finished is not run again, what
was stopped goes on from its newest checkpoint. WORK_DIR/bank_sizes.json and WORK_DIR/bank_sizes.png hold what is known
so far.

Example:
    python tools/dataset_converters/convert.py synthetic - data/synthetic
    python tools/analysis_tools/bank_size.py --work-dir work_dirs/bank_size --time-limit 600
"""
import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

CONFIG = 'configs/demo/actclr_motion_demo.py'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', default=CONFIG,
                        help=f'config file, or the name of a config of this package; default {CONFIG}')
    parser.add_argument('--work-dir', required=True, metavar='DIR', help='folder for all runs')
    parser.add_argument('--sizes', type=int, nargs='+', default=[256, 512, 1024, 2048, 4096, 8192, 16384], metavar='N',
                        help='keys in the memory; default 256 to 16384')
    parser.add_argument('--metrics', nargs='+', default=['knn/*'], metavar='NAME',
                        help='results to draw, * and ? as for file names; default knn/*')
    parser.add_argument('--time-limit', type=float, metavar='SECONDS',
                        help='stop a run after this time; calling again goes on; default none')
    parser.add_argument('--cfg-options', nargs='+', metavar='K=V', default=[],
                        help='override entries of the config, e.g. data_root=data/other')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run what is not finished and draw what is."""
    args = parse_args(argv)
    import fnmatch

    from mmactclr.apis.comparing import run_sizes
    from mmactclr.errors import ConfigError
    from mmactclr.evaluation import format_table
    from mmactclr.utils.cli import OptionsAction
    from mmactclr.visualization import draw_lines
    if args.time_limit is not None and args.time_limit <= 0:
        raise ConfigError(f'--time-limit is {args.time_limit:g}, expected seconds above zero')
    parser = argparse.ArgumentParser(prog='bank_size.py')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, default={})
    options = parser.parse_args(['--cfg-options', *args.cfg_options]).cfg_options if args.cfg_options else {}
    runs = run_sizes(args.config, args.work_dir, ROOT / 'tools' / 'train.py', args.sizes, options, args.cfg_options,
                     args.time_limit)
    finished = [run for run in runs if run.finished]
    for run in runs:
        if not run.finished:
            print(f'memory of {run.size}: epoch {run.epoch} of {run.epochs}, left out. {run.problem}')
    if not finished:
        raise ConfigError(f'{args.work_dir}: no run is finished; run the same command again, or with a longer '
                          '--time-limit')
    names = [name for name in dict.fromkeys(name for run in finished for name in run.metrics)
             if any(fnmatch.fnmatchcase(name, pattern) for pattern in args.metrics)]
    if not names:
        raise ConfigError(f'--metrics {" ".join(args.metrics)}: the runs have {", ".join(finished[0].metrics)}')
    print(f'after {finished[0].epochs} epochs, %')
    print(format_table({str(run.size): {name: run.metrics[name] for name in names} for run in finished}))
    panels = {name: {Path(args.config).stem: {run.size: run.metrics[name] for run in finished}} for name in names}
    errors = {name: {Path(args.config).stem: {run.size: run.standard_error(name) for run in finished}} for name in names
              if all(name in run.counts for run in finished)}
    path = draw_lines(panels, Path(args.work_dir) / 'bank_sizes.png', 'keys in the memory', 'accuracy, %',
                      f'{finished[0].epochs} epochs; bars: standard error of the test set' if errors else
                      f'{finished[0].epochs} epochs', doubling=True, errors=errors)
    print(f'written: {path}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
