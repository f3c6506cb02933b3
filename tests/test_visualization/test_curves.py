"""Training curves: what is read from a work dir, and that a picture comes of it."""
import json

import pytest
from matplotlib.image import imread

from mmactclr.errors import DataError
from mmactclr.visualization import draw_curves, read_history


def write_log(work_dir, run: str, *lines: dict) -> None:
    folder = work_dir / run / 'vis_data'
    folder.mkdir(parents=True)
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    (folder / 'scalars.json').write_text(text)


def train(epoch: int, **values: float) -> dict:
    return {'lr': 0.1, 'time': 1.0, 'epoch': epoch, 'iter': 9 * epoch, 'step': 9 * epoch, **values}


def test_losses_are_averaged_by_epoch_and_results_keep_theirs(tmp_path):
    write_log(tmp_path, '20260101', train(1, loss=2., loss_nce=2.), train(1, loss=4., loss_nce=4.),
              {'knn/backbone_k20': 30., 'time': 2., 'step': 1}, train(2, loss=1., loss_mining=1.))
    assert read_history(tmp_path) == {
        'loss_nce': {1: 3.}, 'loss_mining': {2: 1.}, 'knn/backbone_k20': {1: 30.}}


def test_a_later_run_replaces_what_follows_its_first_epoch(tmp_path):
    write_log(tmp_path, '20260101', *[train(e, loss_nce=float(e)) for e in (1, 2, 3, 4)],
              {'knn/backbone_k20': 40., 'step': 4})
    write_log(tmp_path, '20260102', *[train(e, loss_nce=10. * e) for e in (2, 3)])
    write_log(tmp_path, '20260103', {'knn/test': 50., 'step': 4})
    assert read_history(tmp_path) == {'loss_nce': {1: 1., 2: 20., 3: 30.}, 'knn/test': {4: 50.}}


def test_curves_of_losses_and_results_stand_side_by_side(tmp_path):
    losses = {'joint.loss_nce': {1: 3., 2: 2.}, 'bone.loss_nce': {1: 4., 2: 1.}}
    one = imread(draw_curves(losses, tmp_path / 'one.png'))
    two = imread(draw_curves({**losses, 'knn/backbone_k20': {2: 50.}}, tmp_path / 'two.png'))
    assert one.shape[0] == two.shape[0] > 300
    assert two.shape[1] == pytest.approx(2 * one.shape[1], abs=2)


@pytest.mark.parametrize('lines', [[], [{'lr': 1., 'epoch': 1, 'step': 1}]])
def test_a_run_without_numbers(tmp_path, lines):
    write_log(tmp_path, '20260101', *lines)
    with pytest.raises(DataError, match='1 training logs hold neither'):
        read_history(tmp_path)


def test_no_run_and_a_damaged_line(tmp_path):
    with pytest.raises(DataError, match='there is no training log'):
        read_history(tmp_path)
    write_log(tmp_path, '20260101', train(1, loss_nce=1.))
    with (tmp_path / '20260101' / 'vis_data' / 'scalars.json').open('a') as file:
        file.write('{"epoch": 2, "lo')
    with pytest.raises(DataError, match='line 2'):
        read_history(tmp_path)


def test_an_empty_history(tmp_path):
    with pytest.raises(DataError, match='empty'):
        draw_curves({}, tmp_path / 'a.png')
