"""benchmarks/streaming.py looks at the same windows in PyTorch and through an exported file; it writes its times."""
import json
import subprocess
import sys

import pytest

from tests.test_apis.test_deployment import FRAMES, write_tiny_checkpoint

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('model') / 'tiny.pth'
    write_tiny_checkpoint(path, 'Recognizer')
    return path


def run(repo_root, *arguments):
    return subprocess.run([sys.executable, 'benchmarks/streaming.py', *map(str, arguments)], cwd=repo_root, text=True,
                          capture_output=True)


def test_both_paths_see_the_same_windows(repo_root, checkpoint, tmp_path):
    done = run(repo_root, checkpoint, '--looks', 4, '--warm-up', 1, '--out', tmp_path)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / 'streaming.json').read_text())
    assert (numbers['window'], numbers['looks'], numbers['checkpoint']) == (FRAMES, 4, 'tiny.pth')
    assert 0 < numbers['largest_difference'] < 1e-4
    for path in ('torch', 'onnx'):
        wall, cpu, model = (numbers['milliseconds'][f'{path}_{part}'] for part in ('wall', 'cpu', 'model_cpu'))
        assert 0 < wall['median'] <= wall['p95']
        # the model is a part of what the processor did
        assert 0 < model['median'] <= cpu['median']
    table = (tmp_path / 'streaming.md').read_text()
    assert table in done.stdout
    assert f'{numbers["milliseconds"]["torch_wall"]["median"]:.1f}' in table


def test_nothing_to_time_is_refused(repo_root, checkpoint, tmp_path):
    done = run(repo_root, checkpoint, '--looks', 0, '--out', tmp_path)
    assert done.returncode and '--looks is 0' in done.stderr and 'Traceback' not in done.stderr
    assert not list(tmp_path.iterdir())
