"""Run the commands behind a passage of the docs, and keep what the last one printed as a line of JSON.

The docs show commands and output between `<!-- table: records/NAME -->` and `<!-- end of table -->`, drawn by tables.py
from the last line of that name; a record is always made anew. Called from the root of a checkout, or a folder with
the same names in it; weights that a command names, such as actclr.pth, and skeleton.json of docs/data/custom.md lie
there. Those of speed and streaming want a machine that does nothing else.

Example:
    python benchmarks/record.py streaming
    python benchmarks/record.py utd_3s
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from grid import RESULTS, processor  # noqa: E402

from mmactclr.errors import ConfigError, DataError  # noqa: E402

_TRANSFER = 'configs/benchmarks/transfer/checkpoint_utdmhad_xsub.py'
_LIMBS = 'python benchmarks/named_limbs.py'
_VIEWS = 'python tools/visualization/draw_actionlet_views.py'
_WAVE = '--class "right hand wave" --out work_dirs/views.png --cfg-options max_persons=1'
_DEMO = 'configs/demo/actclr_motion_demo.py work_dirs/demo/seed0/actclr/epoch_100.pth'
_COST = 'python tools/analysis_tools/benchmark.py'
_RELEASE = 'configs/actclr_release/actclr-release_joint_ntu60_xview.py'
_CUSTOM = 'configs/actclr/actclr_joint_custom.py'
_MOTION = 'model.stream=motion model.data_preprocessor.streams=[motion] model.memory.size=64'
_UTD = 'configs/actclr/actclr_joint_utdmhad_xsub.py'
_UTD_3S = 'configs/actclr/actclr_3s_utdmhad_xsub.py'
# what a runner's log begins its lines with
_LOGGED = re.compile(r'(\d{4}/)?\d\d/\d\d \d\d:\d\d:\d\d - ')


@dataclass(frozen=True)
class Record:
    """Commands, and what is kept of the output of the last one.

    Attributes:
        commands: Lines, as the docs show them.
        after: Keep the block of lines below the last one that ends so, up to the next line of a log; if empty, all
            lines but those of a log or of JSON.
        tables: The output has tables in Markdown: they and their titles in bold are kept, and drawn as tables.
        header: Columns of a table of which the output has only the rows.
    """

    commands: tuple[str, ...]
    after: str = ''
    tables: bool = False
    header: tuple[str, ...] = ()

    def kept(self, output: str) -> str:
        """The part of an output that the docs show.

        Raises:
            DataError: No line ends as it should, or there is no table, or one of other columns.
        """
        lines = [line.rstrip() for line in output.splitlines()]
        if self.tables:
            blocks = [[line for line in block.splitlines() if line.startswith(('|', '**'))]
                      for block in re.split(r'\n\s*\n', '\n'.join(lines))]
            if not any(line.startswith('|') for block in blocks for line in block):
                raise DataError('the output has no table, nothing was added')
            if self.header:
                rows = [line for block in blocks for line in block if line.startswith('|')]
                if {row.count('|') for row in rows} != {len(self.header) + 1}:
                    raise DataError(f'the rows of the output have not the columns {", ".join(self.header)}')
                return '\n'.join([f'| {" | ".join(self.header)} |', '| --- ' * len(self.header) + '|', *rows])
            # a title stays if a table follows
            followed = [block for number, block in enumerate(blocks) if any(
                line.startswith('|') for line in [*block, *(blocks[number + 1] if number + 1 < len(blocks) else ())])]
            return '\n\n'.join('\n'.join(block) for block in followed if block)
        if self.after:
            begins = [number for number, line in enumerate(lines) if line.endswith(self.after)]
            if not begins:
                raise DataError(f'the output has no line that ends with {self.after!r}, nothing was added')
            lines = lines[begins[-1] + 1:]
            ends = [number for number, line in enumerate(lines) if _LOGGED.match(line)]
            lines = lines[:ends[0]] if ends else lines
        else:
            lines = [line for line in lines if not (_LOGGED.match(line) or line.startswith('{'))]
        return '\n'.join(lines).strip('\n')


RECORDS = {
    'actionlet_limbs': Record((f'python benchmarks/actionlet_limbs.py {_DEMO}',)),
    'actionlet_parts': Record((f'python tools/analysis_tools/actionlet_parts.py {_TRANSFER} actclr.pth --cfg-options '
                               'max_persons=1',)),
    'limbs_actclr': Record((f'{_LIMBS} {_TRANSFER} actclr.pth --cfg-options max_persons=1',)),
    'limbs_aimclr': Record((f'{_LIMBS} {_TRANSFER} aimclr.pth --cfg-options max_persons=1',)),
    'limbs_pool': Record((f'{_LIMBS} {_TRANSFER} actclr_joint_pool --cfg-options max_persons=1',)),
    'limbs_utd': Record((f'python tools/train.py {_UTD} --amp --work-dir work_dirs/utd --cfg-options '
                         'train_cfg.max_epochs=60 model.stage_epochs=40,20 param_scheduler.T_max=60',
                         f'{_LIMBS} {_UTD} work_dirs/utd/epoch_60.pth')),
    'views_actclr': Record((f'{_VIEWS} {_TRANSFER} actclr.pth {_WAVE}',)),
    'views_pool': Record((f'{_VIEWS} {_TRANSFER} actclr_joint_pool {_WAVE}',)),
    'cached_probe': Record(('python benchmarks/cached_probe.py actclr.pth',)),
    'conversion': Record(('python benchmarks/conversion.py parse prepare',)),
    'streaming': Record(('python benchmarks/streaming.py actclr.pth --looks 1000',)),
    'utd_3s': Record((f'python tools/train.py {_UTD_3S} --work-dir work_dirs/utd_3s',
                      f'python tools/test.py {_UTD_3S} work_dirs/utd_3s/epoch_300.pth --work-dir work_dirs/utd_3s'),
                     'accuracy in %'),
    'utd_joint': Record((f'python tools/train.py {_UTD} --work-dir work_dirs/utd',
                         f'python tools/test.py {_UTD} work_dirs/utd/epoch_300.pth --work-dir work_dirs/utd'),
                        'accuracy in %'),
    'backbone_costs': Record(('python benchmarks/backbones.py --costs --data ntu60_xsub',), tables=True),
    'bf16_knn': Record(('python benchmarks/bf16_knn.py actclr.pth',), tables=True),
    'speed_data': Record((f'{_COST} data',), tables=True),
    'speed_encoder': Record((f'{_COST} encoder {_RELEASE} --grow',), tables=True),
    'speed_evaluation': Record((f'{_COST} evaluation {_RELEASE} --repeats 3',), tables=True),
    'speed_growth': Record((f'{_COST} step {_RELEASE} --grow --repeats 3',), tables=True),
    'speed_paper': Record((f'{_COST} step configs/actclr/actclr_joint_ntu60_xsub.py --batch 128 --repeats 3',),
                          tables=True),
    'speed_release': Record((f'{_COST} step {_RELEASE} --batch 128 --repeats 7',), tables=True),
    'scaling': Record((f'{_COST} scaling configs/actclr/actclr_3s_ntu60_xsub.py --precision bf16 --repeats 1',),
                      tables=True),
    'custom': Record((
        'python docs/examples/example_recordings.py recordings',
        'python tools/dataset_converters/convert.py csv recordings data/mine --labels recordings/labels.csv --unit cm '
        '--fps 30 --skeleton skeleton.json --test-subjects person6 person7',
        f'python tools/train.py {_CUSTOM} --work-dir work_dirs/mine --cfg-options {_MOTION}',
        f'python tools/test.py {_CUSTOM} work_dirs/mine/epoch_300.pth --work-dir work_dirs/mine --cfg-options '
        f'{_MOTION}'), 'accuracy in %'),
    'inference': Record((
        'python tools/dataset_converters/export.py csv data/utd_mhad out/utd_csv',
        'cp out/utd_csv/a3_s1_t1.csv wave.csv',
        'python tools/gallery.py build actclr.pth data/utd_mhad gallery.npz',
        'python tools/infer.py actclr.pth wave.csv --layout kinect20_utdmhad --unit m --gallery gallery.npz --gif '
        '--anchor data/utd_mhad --out results')),
    'onnx': Record((
        'python tools/deployment/export_onnx.py actclr_motion_synthetic model.onnx --part actionlet --anchor '
        'data/synthetic',
        'python docs/examples/run_onnx.py model.onnx docs/examples/wave.csv --metres-per-unit 0.01')),
    'onnx_check': Record((
        'python tools/deployment/export_onnx.py actclr.pth model.onnx --part actionlet --anchor data/utd_mhad '
        '--check',)),
    'bank_size': Record((
        'python tools/analysis_tools/bank_size.py --work-dir work_dirs/bank_size --time-limit 240 --cfg-options '
        'train_cfg.max_epochs=20 model.stage_epochs=12,8 param_scheduler.T_max=20 '
        'default_hooks.checkpoint.max_keep_ckpts=1',)),
    'confusions': Record((f'python tools/test.py {_TRANSFER} actclr.pth --work-dir work_dirs/transfer --cfg-options '
                          'max_persons=1',), 'accuracy in %'),
    'conversion_memory': Record(('python benchmarks/conversion.py memory --files 60000',)),
    'overlap': Record((
        'python benchmarks/demo_seeds.py --seeds 0',
        "grep -rhoE 'actionlet overlap, epoch (0|10|60|100):.*' work_dirs/demo/seed0/actclr --include=*.log")),
    'same_batch': Record(('python -m pytest -s tests/test_engine/test_same_batch.py',), tables=True, header=(
        'method', 'processes over gloo', 'compared with one', 'largest difference')),
    'mutated_checkpoints': Record(('python -m pytest -s tests/test_engine/test_mutated_checkpoints.py',), tables=True,
                                  header=('checkpoints', 'made', 'refused', 'harmless')),
    'mutated_configs': Record(('python -m pytest -s tests/test_engine/test_mutated_configs.py',), tables=True,
                              header=('configs', 'made')),
    'public_weights': Record(('python tools/model_converters/official_to_mmactclr.py '
                              'official_actclr_ntu60_xview_joint_linear.pt actclr.pth',)),
    'verify': Record(('python tools/dataset_converters/verify.py data/nw_ucla',)),
    'guard_cost': Record(('python benchmarks/guard_cost.py --out work_dirs/guard_cost',)),
    'kill_and_resume': Record(('python benchmarks/kill_and_resume.py',), tables=True),
    'killed_rank': Record(('python benchmarks/killed_rank.py --out work_dirs/killed_rank',), tables=True),
    'soak': Record(('python benchmarks/soak.py --steps 2000 --out work_dirs/soak',), tables=True),
}


def table(line: dict[str, Any]) -> str:
    """The commands and the output of a line, which is fenced unless it is made of tables."""
    shown = '\n'.join(line['commands'])
    output = line['output'] if line.get('tables') else f'```text\n{line["output"]}\n```'
    return f'```bash\n{shown}\n```\n\n{output}'


def main() -> None:
    """Run, and add the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', nargs='+', choices=RECORDS, metavar='NAME', help=f'of {", ".join(RECORDS)}')
    parser.add_argument('--last', action='store_true',
                        help='only the last command: what those before it make is there, made by the same code')
    parser.add_argument('--results', type=Path, default=RESULTS / 'records.jsonl',
                        help='file of the lines (default: benchmarks/results/records.jsonl)')
    args = parser.parse_args()
    import torch
    for name in args.names:
        record, output = RECORDS[name], ''
        skipped = len(record.commands) - 1 if args.last else 0
        seconds: list[float | None] = [None] * skipped
        for command in record.commands[skipped:]:
            print(f'{name}: {command}', flush=True)
            begin = time.monotonic()
            words = shlex.split(command)
            output = run([sys.executable, *words[1:]] if words[0] == 'python' else words)
            seconds.append(round(time.monotonic() - begin, 1))
        line = dict(name=name, commands=record.commands, seconds=seconds, output=record.kept(output),
                    **(dict(tables=True) if record.tables else {}), torch=torch.__version__,
                    machine=processor(), threads=torch.get_num_threads())
        args.results.parent.mkdir(parents=True, exist_ok=True)
        with args.results.open('a') as file:
            file.write(json.dumps(line) + '\n')
        print(f'{args.results}: {name} added', flush=True)


def run(command: list[str]) -> str:
    """What a command prints, which is shown line by line as well.

    Raises:
        ConfigError: It is not there, or failed.
    """
    lines = []
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                lines.append(line)
                print(line, end='', flush=True)
    except FileNotFoundError:
        raise ConfigError(f'{command[0]}: there is no such program') from None
    if process.returncode:
        raise ConfigError(f'{shlex.join(command)} ended with {process.returncode}, see above; nothing was added')
    return ''.join(lines)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
