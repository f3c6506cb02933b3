"""The examples of the documentation work as it runs them, from outside the package."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmactclr.datasets import SkeletonArchive
from mmactclr.datasets.converters import SyntheticConverter
from mmactclr.datasets.synthetic import LAYOUT, make_synthetic
from mmactclr.structures import get_layout
from mmactclr.transforms import SampleRandom, build_transforms

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / 'docs' / 'examples'


def run_tool(*arguments: str | Path) -> str:
    """Run a command-line tool with the examples importable, as a user does."""
    env = dict(os.environ, PYTHONPATH=str(EXAMPLES), OMP_NUM_THREADS='1')
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture
def import_examples(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_custom_backbone_trains(tmp_path):
    assert len((EXAMPLES / 'my_backbone.py').read_text().splitlines()) <= 20
    data, work = tmp_path / 'data', tmp_path / 'work'
    SyntheticConverter().convert('-', data, num_subjects=3, repeats=1)
    said = run_tool(
        'tools/train.py', EXAMPLES / 'my_backbone_config.py', '--work-dir', work, '--cfg-options',
        f'data_root={data}', 'train_dataloader.batch_size=14', 'model.stage_epochs=1,1',
        'train_cfg.max_epochs=2', 'default_hooks.checkpoint.interval=1')
    assert 'knn/backbone_k20' in said
    first, last = (
        torch.load(work / f'epoch_{epoch}.pth', weights_only=True)['state_dict']
        for epoch in (1, 2))
    weights = [name for name in last if 'backbone' in name and 'layers.0.weight' in name]
    assert sorted(weights) == ['backbone.layers.0.weight', 'backbone_k.layers.0.weight']
    assert not any(torch.equal(first[name], last[name]) for name in weights)


def test_custom_method_has_the_losses_of_its_paper(import_examples):
    import my_method

    rng = np.random.default_rng(0)
    one, two = rng.normal(2, 3, (40, 5)), rng.normal(-1, .5, (40, 5))
    two[:, 0] = 2 * one[:, 0]
    reference = np.corrcoef(one.T, two.T)[:5, 5:]
    found = my_method.cross_correlation(torch.from_numpy(one), torch.from_numpy(two))
    np.testing.assert_allclose(found.numpy(), reference, atol=1e-9)
    # features that do not vary have no correlation, and no gradient that is not a number
    still = torch.zeros(40, 5, dtype=torch.float64, requires_grad=True)
    my_method.cross_correlation(still, torch.from_numpy(two)).sum().backward()
    assert torch.isfinite(still.grad).all()


def test_custom_method_trains_resumes_and_is_evaluated(tmp_path):
    assert len((EXAMPLES / 'my_method.py').read_text().splitlines()) < 150
    data = tmp_path / 'data'
    SyntheticConverter().convert('-', data, num_subjects=3, repeats=1)
    config = EXAMPLES / 'my_method_config.py'
    options = [f'data_root={data}', 'train_dataloader.batch_size=14', 'train_cfg.val_interval=2',
               'train_cfg.max_epochs=2',
               'default_hooks.checkpoint.interval=1', 'param_scheduler.T_max=2', 'num_frames=16']
    for name, resume in (('whole', []), ('parts', ['--resume', tmp_path / 'whole' / 'epoch_1.pth'])):
        said = run_tool('tools/train.py', config, '--work-dir', tmp_path / name, *resume, '--cfg-options', *options)
        assert 'loss_barlow' in said and 'agreement' in said
    whole, parts, first = (
        torch.load(tmp_path / path, weights_only=True)['state_dict']
        for path in ('whole/epoch_2.pth', 'parts/epoch_2.pth', 'whole/epoch_1.pth'))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not all(torch.equal(whole[name], first[name]) for name in whole)
    said = run_tool('tools/test.py', config, tmp_path / 'whole' / 'epoch_2.pth', '--work-dir', tmp_path / 'test',
                    '--cfg-options', f'data_root={data}', 'num_frames=16')
    assert 'untrained_encoder' in said and 'projection_k20' in said


def test_custom_converter_converts(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ('nod', 'wave'):
        (tmp_path / 'raw' / kind).mkdir(parents=True)
        for name in ('anna_1', 'ben_1', 'ben_2'):
            np.save(
                tmp_path / 'raw' / kind / f'{name}.npy',
                rng.normal(size=(1, 9, 25, 3)).astype(np.float32),
            )
    said = run_tool(
        'tools/dataset_converters/convert.py',
        '--custom-imports',
        'my_converter',
        'npyfolder',
        tmp_path / 'raw',
        tmp_path / 'archive',
    )
    assert '6 sequences, 2 classes' in said
    archive = SkeletonArchive.open(tmp_path / 'archive')
    assert archive.column('subject')[archive.split('xsub', 'train')].tolist() == ['anna', 'anna']
    np.testing.assert_array_equal(archive.sequence(0), np.load(tmp_path / 'raw/nod/anna_1.npy'))


def test_custom_file_converter_converts_and_names_what_is_damaged(tmp_path):
    rng = np.random.default_rng(0)
    written = {}
    for kind in ('nod', 'wave'):
        (tmp_path / 'raw' / kind).mkdir(parents=True)
        for subject in 'abc':
            written[f'{subject}_{kind}'] = motion = rng.normal(size=(7, 75)).round(5)
            np.savetxt(tmp_path / 'raw' / kind / f'{subject}_{kind}.txt', motion, fmt='%.5f')
    (tmp_path / 'raw' / 'nod' / 'd_nod.txt').write_text('1 2 3\n')
    said = run_tool('tools/dataset_converters/convert.py', '--custom-imports', 'my_file_converter', 'txtfolder',
                    tmp_path / 'raw', tmp_path / 'a')
    assert 'd_nod.txt' in said and 'expected 75 numbers a line' in said
    archive = SkeletonArchive.open(tmp_path / 'a')
    assert len(archive) == 6 and archive.classes == ('nod', 'wave')
    for i, name in enumerate(archive.column('name')):
        assert np.array_equal(archive.sequence(i).reshape(7, 75), written[name].astype(np.float32))
        assert archive.column('split_xsub')[i] == ('test' if name[0] == 'b' else 'train')



def test_the_synthetic_set_is_drawn_with_the_joints_that_move(import_examples, monkeypatch, tmp_path):
    import draw_synthetic

    from mmactclr.datasets.synthetic import make_synthetic
    drawn = []
    original = draw_synthetic.draw_contact_sheet
    monkeypatch.setattr(draw_synthetic, 'draw_contact_sheet',
                        lambda rows, *more, **named: drawn.extend(rows) or original(rows, *more, **named))
    monkeypatch.setattr(sys, 'argv', ['draw_synthetic.py', str(tmp_path / 's.png')])
    draw_synthetic.main()
    made = make_synthetic(num_subjects=2, repeats=1)
    assert (tmp_path / 's.png').is_file() and len(drawn) == len(draw_synthetic.CLASSES)
    for row, name in zip(drawn, draw_synthetic.CLASSES, strict=True):
        i = made.label.tolist().index(made.classes.index(name))
        np.testing.assert_array_equal(row.clips[0].weight, made.moving[i])
        np.testing.assert_array_equal(row.clips[0].joints, made.sequences[i])


def test_custom_transform_scales_every_sample_by_its_own_number(import_examples):
    import my_transform  # noqa: F401

    from mmactclr.structures import get_layout

    keypoint = torch.rand(4, 2, 5, 25, 3) + 1
    random = SampleRandom(0, 0, [0, 1, 2, 3], 'view')
    [transform] = build_transforms([dict(type='RandomSize', amount=0.2)])
    out = transform(
        dict(
            keypoint=keypoint,
            mask=torch.ones(4, 2, dtype=torch.bool),
            random=random,
            layout=get_layout('ntu25'),
        )
    )
    ratio = (out['keypoint'] / keypoint).flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert len(ratio[:, 0].unique()) == 4 and (ratio - 1).abs().max() <= 0.2 + 1e-6


def test_the_example_recording_is_a_wave_of_the_built_in_set():
    """docs/examples/wave.csv: the first sequence of a set that no published encoder has seen, in centimetres."""
    made = make_synthetic(num_subjects=8, repeats=2, num_cameras=2, seed=7)
    assert made.classes[made.label[0]] == 'wave right'
    with (EXAMPLES / 'wave.csv').open(newline='') as file:
        head, *rows = csv.reader(file)
    found = np.array(rows, float)[:, 1:]
    np.testing.assert_allclose(found, 100 * made.sequences[0][0].reshape(found.shape), atol=.06)
    assert head[1:4] == [f'{get_layout(LAYOUT).joints[0]}_{axis}' for axis in 'xyz']
