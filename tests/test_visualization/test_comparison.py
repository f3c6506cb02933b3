"""Lines over epochs and over sizes of the memory, and points in the plane."""
import json

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from mmactclr.apis import plane
from mmactclr.apis.comparing import epoch_lines, read_sized_run
from mmactclr.apis.plane import embed_in_plane
from mmactclr.errors import ConfigError, DataError
from mmactclr.utils import load_config
from mmactclr.visualization import draw_lines, draw_scatter


def write_log(folder, values):
    path = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    lines = [{'epoch': epoch, 'step': 9 * epoch, 'loss_nce': 1. / epoch} for epoch in (1, 2)]
    lines += [{'step': epoch, 'knn/backbone_k20': value, 'knn/projection_k1': 2 * value}
              for epoch, value in values.items()]
    path.write_text('\n'.join(map(json.dumps, lines)))


@pytest.fixture
def drawn(monkeypatch):
    """Collects the lines that are drawn, by their labels."""
    found, real = {}, Axes.plot
    monkeypatch.setattr(Axes, 'plot', lambda self, x, y, **more: found.setdefault(more['label'], []).append((x, y))
                        or real(self, x, y, **more))
    return found


def test_results_of_runs_over_epochs(tmp_path, drawn):
    write_log(tmp_path / 'a' / 'joint', {1: 10., 2: 20.})
    write_log(tmp_path / 'b' / 'joint', {2: 30.})
    panels = epoch_lines([tmp_path / 'a' / 'joint', tmp_path / 'b' / 'joint'], ['knn/backbone*', 'loss_*'])
    assert panels == {'loss_nce': {'a/joint': {1: 1., 2: .5}, 'b/joint': {1: 1., 2: .5}},
                      'knn/backbone_k20': {'a/joint': {1: 10., 2: 20.}, 'b/joint': {2: 30.}}}
    units = {'loss_nce': 'loss', 'knn/backbone_k20': 'accuracy, %'}
    assert imread(draw_lines(panels, tmp_path / 'l.png', 'epoch', units)).shape[1] > 1000
    assert drawn == {'a/joint': [([1, 2], [1., .5]), ([1, 2], [10., 20.])],
                     'b/joint': [([1, 2], [1., .5]), ([2], [30.])]}


def test_numbers_that_no_run_has_and_a_folder_named_twice(tmp_path):
    write_log(tmp_path / 'a', {1: 10.})
    with pytest.raises(DataError, match='linear.*results knn/backbone_k20, knn/projection_k1; losses loss_nce'):
        epoch_lines([tmp_path / 'a'], ['linear/*'])
    with pytest.raises(ConfigError, match='named twice'):
        epoch_lines([tmp_path / 'a', tmp_path / 'a'])
    with pytest.raises(DataError, match='no training log'):
        epoch_lines([tmp_path / 'b'])


def test_sizes_that_double_are_sorted_and_marked(tmp_path, drawn):
    ticks, real = [], Axes.set_xticklabels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Axes, 'set_xticklabels', lambda self, labels, **more: ticks.append(labels)
                      or real(self, labels, **more))
        draw_lines({'knn': {'run': {512: 2., 256: 1.}}}, tmp_path / 'l.png', 'keys', '%', doubling=True)
    assert drawn == {'run': [([256, 512], [1., 2.])]} and ticks == [['256', '512']]
    with pytest.raises(DataError, match='keys is 0'):
        draw_lines({'knn': {'run': {0: 1.}}}, tmp_path / 'l.png', 'keys', '%', doubling=True)
    with pytest.raises(DataError, match='nothing to draw'):
        draw_lines({'knn': {'run': {}}}, tmp_path / 'l.png', 'keys', '%')


def test_bars_are_the_standard_errors_of_shares(tmp_path, monkeypatch):
    from matplotlib.axes import Axes
    drawn, bottoms = [], []
    original = Axes.errorbar

    def errorbar(self, x, y, error, **style):
        drawn.append((x, y, error))
        bottoms.append(self)
        return original(self, x, y, error, **style)

    monkeypatch.setattr(Axes, 'errorbar', errorbar)
    (tmp_path / 'metrics.json').write_text(json.dumps({'val': {
        'epoch': 300, 'metrics': {'knn/a': 36.}, 'outcomes': {'knn/a': {'count': 100, 'calibration_error': 0.}}}}))
    run = read_sized_run(tmp_path, 256, load_config('moco_joint_utdmhad_xsub'))
    # 36 right ones of 100: as spread as the sum of 100 draws
    hits = np.repeat([1., 0.], [36, 64])
    assert run.standard_error('knn/a') == pytest.approx(100 * hits.std() / np.sqrt(100))
    draw_lines({'knn/a': {'run': {256: 36., 512: 40.}}}, tmp_path / 'l.png', 'keys', '%', doubling=True,
               errors={'knn/a': {'run': {256: 4.8, 512: 4.9}}})
    assert drawn == [([256, 512], [36., 40.], [4.8, 4.9])] and bottoms[0].get_ylim()[0] == 0
    (tmp_path / 'metrics.json').write_text(json.dumps({'val': {'epoch': 300, 'metrics': {'knn/a': 36.}}}))
    assert read_sized_run(tmp_path, 256, load_config('moco_joint_utdmhad_xsub')).standard_error('knn/a') is None


def test_a_run_is_finished_when_its_last_epoch_was_evaluated(tmp_path):
    cfg = load_config('moco_joint_utdmhad_xsub')
    assert read_sized_run(tmp_path, 256, cfg).epoch == 0
    (tmp_path / 'metrics.json').write_text(json.dumps({'val': {'epoch': 299, 'metrics': {'knn/a': 5.}}}))
    assert not read_sized_run(tmp_path, 256, cfg).finished
    (tmp_path / 'metrics.json').write_text(json.dumps({'val': {'epoch': 300, 'metrics': {'knn/a': 5.}}}))
    found = read_sized_run(tmp_path, 256, cfg)
    assert found.finished and found.metrics == {'knn/a': 5.} and found.size == 256


def test_neighbours_stay_neighbours_in_the_plane():
    pytest.importorskip('openTSNE')
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    features = np.eye(8)[labels * 2] + rng.normal(0, .05, (60, 8))
    points = embed_in_plane(features, seed=1)
    assert points.shape == (60, 2) and (points == embed_in_plane(features, seed=1)).all()
    distance = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(60)
    assert (labels[distance.argmin(1)] == labels).mean() > .95


@pytest.mark.parametrize(('method', 'package'), [('tsne', 'openTSNE'), ('umap', 'umap-learn')])
def test_a_missing_package_is_named(method, package, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, {'tsne': 'openTSNE', 'umap': 'umap'}[method], None)
    with pytest.raises(ConfigError, match=f'{plane.TITLES[method]} needs the package {package}'):
        embed_in_plane(np.ones((9, 3)), method)


def test_features_that_cannot_be_arranged():
    with pytest.raises(DataError, match=r'\(4, 3\)'):
        embed_in_plane(np.ones((4, 3)))
    with pytest.raises(ConfigError, match="'pca'.*tsne or umap"):
        embed_in_plane(np.ones((9, 3)), 'pca')
    assert set(plane.METHODS) == {'tsne', 'umap'}


def test_every_point_is_drawn_in_its_class(tmp_path, monkeypatch):
    found, real = {}, Axes.scatter

    def scatter(self, x, y, **more):
        found[more['label']] = list(zip(x, y, strict=True))
        return real(self, x, y, **more)

    monkeypatch.setattr(Axes, 'scatter', scatter)
    points, labels = np.random.default_rng(0).normal(size=(7, 2)), [0, 2, 2, -1, 0, 2, -1]
    assert imread(draw_scatter(points, labels, ['a', 'b', 'c $x'], tmp_path / 's.png')).shape[0] > 300
    expected = {name: [tuple(points[i]) for i in range(7) if labels[i] == k]
                for name, k in (('no class', -1), ('a', 0), ('c $x', 2))}
    assert found == expected
    with pytest.raises(DataError, match='-1 to 1'):
        draw_scatter(points, labels, ['a', 'b'], tmp_path / 's.png')
    with pytest.raises(DataError, match=r'\(7, 2\) and 6 labels'):
        draw_scatter(points, labels[:6], ['a', 'b', 'c'], tmp_path / 's.png')
