"""From raw recordings to class names and scores in a table, by the commands that the documentation names."""
import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmactclr.apis import run_test
from mmactclr.datasets import ArchiveWriter
from mmactclr.datasets.ntu_classes import NTU60_CLASSES
from mmactclr.engine.checkpoints import ModelCard
from mmactclr.evaluation import ClassificationEvaluator


def write_skeleton(path: Path, persons: np.ndarray) -> None:
    """(M, T, 25, 3) in the text form of NTU RGB+D."""
    lines = [f'{persons.shape[1]}']
    for frame in persons.transpose(1, 0, 2, 3):
        present = [(m, body) for m, body in enumerate(frame) if body.any()]
        lines.append(f'{len(present)}')
        for m, body in present:
            lines += [f'7205759403792{m} 0 0 0 0 0 0 0 0 2', '25', *(
                f'{x!r} {y!r} {z!r} 1 2 3 4 5 6 7 8 2' for x, y, z in body.astype(float).tolist())]
    path.write_text('\r\n'.join(lines) + '\r\n')


def commands(page: Path, heading: str) -> list[list[str]]:
    """Commands of the first code block below a heading."""
    block = page.read_text().split(f'\n## {heading}\n')[1].split('```bash\n')[1].split('```')[0]
    return [shlex.split(line) for line in block.splitlines() if line.startswith('python ')]


def test_raw_files_become_classes_by_the_documented_commands(golden_dir, tmp_path, repo_root):
    """The same classes as the authors' code gives for the same eight recordings."""
    raw = tmp_path / 'nturgb+d_skeletons'
    raw.mkdir()
    with np.load(golden_dir / 'preprocess.npz') as golden:
        for i in range(8):
            write_skeleton(raw / f'S001C001P{i + 1:03}R001A{10 * (i % 6) + 1:03}.skeleton', golden[f'raw_{i}'])
    with np.load(golden_dir / 'stgcn_forward.npz') as golden:
        expected = golden['logits']
    weights = golden_dir / 'official_actclr_ntu60_xview_joint_linear.pt'
    run = commands(repo_root / 'docs' / 'data' / 'ntu.md', 'From raw files to classes')
    assert [Path(line[1]).name for line in run] == [
        'official_to_mmactclr.py', 'convert.py', 'verify.py', 'test.py']
    given = {'SRC_WEIGHTS': str(weights), 'nturgb+d_skeletons': str(raw)}
    for line in run:
        line = [given.get(word, word) for word in line]
        done = subprocess.run([sys.executable, str(repo_root / line[1]), *line[2:]], cwd=tmp_path, text=True,
                              capture_output=True, env={'OMP_NUM_THREADS': '1', 'PATH': ''})
        assert done.returncode == 0, done.stdout + done.stderr
    (table,) = tmp_path.rglob('predictions.csv')
    rows = list(csv.reader(table.open(encoding='utf-8')))
    assert rows[0] == ['name', 'label', 'prediction', 'probability', *NTU60_CLASSES]
    scores = np.array([row[4:] for row in rows[1:]], float)
    assert [row[0] for row in rows[1:]] == [f'S001C001P{i + 1:03}R001A{10 * (i % 6) + 1:03}' for i in range(8)]
    assert [row[1] for row in rows[1:]] == [NTU60_CLASSES[10 * (i % 6)] for i in range(8)]
    assert [row[2] for row in rows[1:]] == [NTU60_CLASSES[k] for k in expected.argmax(1)]
    # their input lies within 1.3e-6 of ours, and the table has six digits
    assert np.abs(scores - expected).max() < 1e-3
    softmax = np.exp(expected - expected.max(1, keepdims=True))
    shares = (softmax / softmax.sum(1, keepdims=True)).max(1)
    assert np.abs(np.array([row[3] for row in rows[1:]], float) - shares).max() < 1e-3
    metrics = json.loads((table.parent / 'metrics.json').read_text())['test']['metrics']
    right = np.mean(expected.argmax(1) == [10 * (i % 6) for i in range(8)])
    assert metrics['classifier/top1'] == pytest.approx(100 * right)


@pytest.fixture(scope='module')
def classifier(tmp_path_factory) -> Path:
    """Fresh weights with a card of three classes."""
    model = dict(type='Recognizer', layout='kinect20_utdmhad', backbone=dict(
        type='STGCN', layout='kinect20_utdmhad', channels=[4, 8], strided_units=[2]),
        head=dict(type='ClassificationHead', in_channels=8, num_classes=3))
    from mmactclr.registry import MODELS
    from mmactclr.structures import get_layout
    torch.manual_seed(0)
    card = ModelCard(model=model, layout=get_layout('kinect20_utdmhad').to_dict(), num_frames=16, max_persons=1,
                     classes=['one', 'two, or so', 'three'])
    path = tmp_path_factory.mktemp('weights') / 'model.pth'
    torch.save({'state_dict': MODELS.build(model).state_dict(), 'meta': {'mmactclr': card.to_dict()}}, path)
    return path


def test_unlabelled_recordings_have_classes_and_no_accuracy(classifier, tmp_path, capfd):
    rng = np.random.default_rng(0)
    with ArchiveWriter(tmp_path / 'a', 'kinect20_utdmhad') as writer:
        for i in range(5):
            writer.add(rng.normal(size=(1, 9, 20, 3)), name=f'kitchen {i}, "left"')
        writer.finish()
    metrics = run_test('benchmarks/predict/checkpoint_custom.py', classifier, tmp_path / 'work',
                       {'data_root': str(tmp_path / 'a')})
    assert metrics == {}
    rows = list(csv.DictReader((tmp_path / 'work' / 'predictions.csv').open()))
    assert [row['name'] for row in rows] == [f'kitchen {i}, "left"' for i in range(5)]
    assert all(row['label'] == '' and row['prediction'] in ('one', 'two, or so', 'three') for row in rows)
    assert 'no accuracy: the data have no labels' in re.sub(r'\s+', ' ', ''.join(capfd.readouterr()))


def test_other_classes_than_the_models_have_no_accuracy(classifier, tiny_archive, tmp_path):
    metrics = run_test('benchmarks/predict/checkpoint_custom.py', classifier, tmp_path / 'work',
                       {'data_root': str(tiny_archive)})
    assert metrics == {}
    rows = list(csv.DictReader((tmp_path / 'work' / 'predictions.csv').open()))
    assert len(rows) == 27 and {row['label'] for row in rows} == {'right hand', 'left hand', 'both'}


def test_accuracy_against_a_plain_count():
    rng = np.random.default_rng(1)
    scores, labels, roles = rng.normal(size=(40, 7)), rng.integers(0, 7, 40), rng.integers(0, 2, 40)
    metric = ClassificationEvaluator(topk=(1, 3))
    metric.dataset_meta = {'classes': tuple('abcdefg')}
    metric.process(None, [dict(role=int(r), label=int(k), pred_score=torch.tensor(s))
                          for s, k, r in zip(scores, labels, roles, strict=True)])
    found = metric.evaluate(40)
    for k in (1, 3):
        right = [label in sorted(range(7), key=lambda c: -score[c])[:k]
                 for score, label, role in zip(scores, labels, roles, strict=True) if role == 1]
        assert found[f'classifier/top{k}'] == pytest.approx(100 * sum(right) / len(right))
