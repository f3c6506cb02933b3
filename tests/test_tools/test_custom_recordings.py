"""The tutorial on own recordings runs as it is written, and what it trains has learned something."""
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmactclr.datasets import SkeletonArchive
from mmactclr.structures import get_layout, list_layouts

# fewer epochs than the page's 300, for the test
SHORT = ['train_cfg.max_epochs=120', 'model.stage_epochs=100,20', 'param_scheduler.T_max=120',
         'train_cfg.val_interval=120', 'default_hooks.checkpoint.interval=120']


@pytest.fixture(scope='module')
def page(repo_root) -> str:
    return (repo_root / 'docs' / 'data' / 'custom.md').read_text()


def commands(page: str) -> list[list[str]]:
    """All commands of the page, in order."""
    blocks = re.findall(r'```bash\n(.*?)```', page, re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith('python ')]


def test_the_tutorial_runs_and_what_it_trains_has_learned_something(page, repo_root, tmp_path):
    (tmp_path / 'skeleton.json').write_text(re.search(r'```json\n(.*?)```', page, re.DOTALL)[1])
    run = [line for line in commands(page) if 'checkpoint_custom' not in ' '.join(line)]
    assert [Path(line[1]).name for line in run] == [
        'example_recordings.py', 'convert.py', 'verify.py', 'browse_dataset.py', 'train.py', 'test.py']
    for line in run:
        more = SHORT if line[1].endswith('train.py') else []
        words = [word.replace('epoch_300', 'epoch_120') for word in line[2:]]
        env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(repo_root)}
        done = subprocess.run([sys.executable, str(repo_root / line[1]), *words, *more], cwd=tmp_path, text=True,
                              env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout[-3000:]
        if line[1].endswith('verify.py'):
            assert done.stdout.rstrip().endswith('fine')
    archive = SkeletonArchive.open(tmp_path / 'data' / 'mine')
    assert archive.layout.joints not in [get_layout(name).joints for name in list_layouts()]
    assert len(archive.split('xsub', 'train')) == 144 and len(archive.classes) == 6 and archive.meta['unit'] == 'm'
    assert any((tmp_path / 'work_dirs' / 'look').iterdir())
    metrics = json.loads((tmp_path / 'work_dirs' / 'mine' / 'metrics.json').read_text())['test']['metrics']
    chance = 100 / 6
    assert metrics['knn/backbone_k20'] > 2 * chance
    assert metrics['knn/backbone_k20'] > metrics['untrained_encoder/knn/backbone_k20'] + 15


def test_what_the_page_says_of_messages_is_so(page, repo_root, tmp_path):
    env = {**os.environ, 'PYTHONPATH': str(repo_root)}

    def convert(*arguments: str) -> str:
        command = [sys.executable, str(repo_root / 'tools/dataset_converters/convert.py'), 'csv', 'raw', 'a']
        done = subprocess.run([*command, *arguments], cwd=tmp_path, text=True, env=env, capture_output=True)
        return done.stdout + done.stderr

    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw' / 'one.csv').write_text('Crown_x,Crown_y,neck_x,neck_y\n1,2,3,4\n')
    assert 'the names do not tell what Crown hangs on' in convert()
    header = ','.join(f'{joint}_{axis}' for joint in get_layout('h36m17').joints for axis in 'xyz')
    lines = [header, *(','.join(str(float(i + t) ** .5) for i in range(51)) for t in range(8))]
    (tmp_path / 'raw' / 'one.csv').write_text('\n'.join(lines))
    lines[6] = lines[6].split(',', 3)[0] + ',1,n/a,' + lines[6].split(',', 3)[3]
    (tmp_path / 'raw' / 'two.csv').write_text('\n'.join(lines))
    (tmp_path / 'raw' / 'three.csv').write_text('\n'.join(line.split(',', 3)[3] for line in lines))
    said = ' '.join(convert().split())
    assert "two.csv, line 7: column 3: 'n/a', expected a number" in said
    assert "three.csv, line 1: no joint 'pelvis', which the other files have" in said
    (tmp_path / 'labels.csv').write_text('file,label\nx,y\n')
    assert "file 'x' is no file below raw" in convert('--labels', 'labels.csv', '--overwrite')
