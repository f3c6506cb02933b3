"""Tables and pictures that a run leaves, recomputed from what the model predicts."""
import csv
import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmactclr.apis import draw_reports, run_test, run_training
from mmactclr.datasets.converters import JoinedConverter
from mmactclr.engine.checkpoints import ModelCard
from mmactclr.errors import DataError, RunError
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config, recipe_hash

from ..conftest import TINY_CLASSES, TINY_LAYOUT

COUNTER = itertools.count()
BACKBONE = dict(type='STGCN', layout=TINY_LAYOUT, channels=[4, 6, 8], strided_units=[2], dropout=0.5)


@pytest.fixture(scope='module')
def encoder(tmp_path_factory) -> Path:
    model = dict(type='Recognizer', layout=TINY_LAYOUT, backbone=BACKBONE, head=None, stream='joint')
    torch.manual_seed(5)
    built = MODELS.build(model)
    built.init_weights()
    card = ModelCard(model=model, layout=get_layout(TINY_LAYOUT).to_dict(), num_frames=16)
    path = tmp_path_factory.mktemp('one') / 'encoder.pth'
    torch.save({'state_dict': built.state_dict(), 'meta': {'mmactclr': card.to_dict()}}, path)
    return path


@pytest.fixture(scope='module')
def trained(encoder, tiny_archive, tmp_path_factory) -> Path:
    """Work dir of a linear run."""
    path = tmp_path_factory.mktemp('linear')
    run_training('benchmarks/linear/linear_utdmhad_xsub.py', path, pictures=True, options={
        'data_root': str(tiny_archive), 'init_from': str(encoder), 'train_cfg.max_epochs': 2,
        'train_cfg.val_interval': 1, 'experiment_name': f'reports_{next(COUNTER)}'})
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_tables_agree_with_the_predictions_of_the_same_weights(trained, tiny_archive, tmp_path):
    run_test('benchmarks/predict/checkpoint_custom.py', trained / 'epoch_2.pth', tmp_path,
             {'data_root': str(tiny_archive), 'experiment_name': f'reports_{next(COUNTER)}'})
    from mmactclr.datasets import SkeletonArchive
    archive = SkeletonArchive.open(tiny_archive)
    tested = {str(archive.column('name')[i]) for i in archive.split('xsub', 'test')}
    pairs = [(row['label'], row['prediction']) for row in table(tmp_path / 'predictions.csv') if row['name'] in tested]
    assert len(pairs) == 9
    confusion = {row['class']: row for row in table(trained / 'reports' / 'classifier_score.confusion.csv')}
    for truth, predicted in itertools.product(TINY_CLASSES, TINY_CLASSES):
        assert int(confusion[truth][predicted]) == pairs.count((truth, predicted))
    classes = {row['class']: row for row in table(trained / 'reports' / 'classifier_score.classes.csv')}
    for name in TINY_CLASSES:
        right = pairs.count((name, name))
        assert int(classes[name]['count']) == 3 and int(classes[name]['right']) == right
        assert float(classes[name]['accuracy']) == pytest.approx(100 * right / 3, abs=.06)
        wrong = {other: pairs.count((name, other)) for other in TINY_CLASSES if other != name}
        assert (classes[name]['times'] or '0') == str(max(wrong.values()))
        assert not classes[name]['times'] or wrong[classes[name]['most_often_taken_for']] == max(wrong.values())


def test_metrics_say_what_was_run_on_what(trained, encoder):
    result = json.loads((trained / 'metrics.json').read_text())['val']
    assert result['config']['name'] == 'linear_utdmhad_xsub' and len(result['config']['hash']) == 12
    assert result['checkpoint'] == {
        'name': 'encoder.pth', 'sha256': hashlib.sha256(encoder.read_bytes()).hexdigest()}
    outcome = result['outcomes']['classifier/score']
    assert set(outcome['class_accuracy']) == set(TINY_CLASSES) and 0 <= outcome['calibration_error'] <= 1
    # three test sequences of every class
    assert outcome['mean_class_accuracy'] == pytest.approx(result['metrics']['classifier/top1'], rel=1e-5)


def test_pictures_stand_beside_their_tables(trained):
    picture = trained / 'reports' / 'classifier_score.confusion.png'
    assert picture.read_bytes().startswith(b'\x89PNG')
    picture.unlink()
    assert draw_reports(trained) == [picture] and picture.is_file()


def test_a_folder_without_reports_is_named(tmp_path):
    with pytest.raises(DataError, match='give the work dir of a test'):
        draw_reports(tmp_path)


def test_timelines_hold_every_frame_of_truth_and_prediction(encoder, tiny_archive, tmp_path):
    archive = tmp_path / 'joined'
    JoinedConverter().convert(tiny_archive, archive, clips=(2, 4), gap=(.2, .5))
    options = {
        'data_root': str(archive), 'init_from': str(encoder), 'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 2,
        'experiment_name': f'reports_{next(COUNTER)}'}
    runner = run_training('benchmarks/segmentation/segmentation_utdmhad_xsub.py', tmp_path / 'run', pictures=True,
                          options=options)
    timelines = runner.val_evaluator.metrics[0].timelines
    classes = (*TINY_CLASSES, 'background')
    rows = table(tmp_path / 'run' / 'reports' / 'segmentation.timeline.csv')
    for name, (truth, prediction) in timelines.items():
        for kind, labels in (('truth', truth), ('prediction', prediction)):
            found = np.full(len(labels), -1)
            for row in rows:
                if row['sequence'] == name and row['of'] == kind:
                    found[int(row['start']):int(row['stop'])] = classes.index(row['class'])
            assert np.array_equal(found, labels)
    assert {row['sequence'] for row in rows} == set(timelines)
    assert {path.name for path in (tmp_path / 'run' / 'reports').glob('*.png')} == {
        'segmentation.timeline.png', 'segmentation_frames.confusion.png'}


def test_the_hash_is_of_what_is_computed(tmp_path):
    base = dict(model=dict(type='A', width=3), randomness=dict(seed=0), work_dir='a', optim=dict(lr=.1),
                hooks=[dict(init_from='x')], label_subset=dict(fraction=.1, seed=0))
    same = dict(base, randomness=dict(seed=7), work_dir='b', hooks=[dict(init_from='y')], load_from='z')
    assert recipe_hash(Config(base)) == recipe_hash(Config(same))
    for other in (dict(base, optim=dict(lr=.2)), dict(base, model=dict(type='A', width=4)), dict(base, hooks=[]),
                  dict(base, label_subset=dict(fraction=.1, seed=1))):
        assert recipe_hash(Config(base)) != recipe_hash(Config(other))
    # of a file of labels the content counts, not where it lies
    for name, text in (('a', '1'), ('b', '1'), ('c', '2')):
        (tmp_path / name).write_text(text)
    one, two, three = (recipe_hash(Config(dict(base, label_subset=str(tmp_path / name)))) for name in 'abc')
    assert one == two != three


def test_results_know_their_encoder_after_a_resume(encoder, tiny_archive, tmp_path):
    def train(epochs: int, **resume):
        run_training('benchmarks/linear/linear_utdmhad_xsub.py', tmp_path, options={
            'data_root': str(tiny_archive), 'init_from': str(encoder), 'train_cfg.max_epochs': epochs,
            'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1,
            'experiment_name': f'reports_{next(COUNTER)}'}, **resume)
        return json.loads((tmp_path / 'metrics.json').read_text())['val']

    first, second = train(1), train(2, resume='auto')
    assert second['epoch'] == 2 and second['checkpoint'] == first['checkpoint']
    assert second['checkpoint']['sha256'] == hashlib.sha256(encoder.read_bytes()).hexdigest()
    assert second['training']['frozen'] and second['training']['sequences'] == 18


def test_reports_of_an_older_evaluation_do_not_stay(trained, tiny_archive, encoder, tmp_path):
    for name in ('knn/knn', 'transfer/checkpoint'):
        run_test(f'benchmarks/{name}_utdmhad_xsub.py', encoder, tmp_path, {
            'data_root': str(tiny_archive), 'experiment_name': f'reports_{next(COUNTER)}'})
        draw_reports(tmp_path)
    found = {path.name.split('.')[0] for path in (tmp_path / 'reports').iterdir()}
    assert {name.split('_')[0] for name in found} == {'knn', 'linear', 'logistic'}
    run_test('benchmarks/knn/knn_utdmhad_xsub.py', encoder, tmp_path, {
        'data_root': str(tiny_archive), 'experiment_name': f'reports_{next(COUNTER)}'})
    assert {path.name.split('_')[0] for path in (tmp_path / 'reports').iterdir()} == {'knn'}


def test_a_classifier_that_learned_nothing_is_named(encoder, tiny_archive, tmp_path, capfd):
    def train(name: str, lr: float) -> str:
        run_training('benchmarks/linear/linear_utdmhad_xsub.py', tmp_path / name, options={
            'data_root': str(tiny_archive), 'init_from': str(encoder), 'train_cfg.max_epochs': 60,
            'optim_wrapper.optimizer.lr': lr, 'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None,
            'experiment_name': f'reports_{next(COUNTER)}'})
        return ''.join(capfd.readouterr())

    assert 'learning rate is too high' not in train('fine', 3.)
    said = train('wild', 1e6)
    assert 'joint stream ends with a training loss' in said and 'learning rate is too high' in said


def test_a_schedule_longer_than_the_run_is_named(encoder, tiny_archive, tmp_path, capfd):
    options = {'data_root': str(tiny_archive), 'init_from': str(encoder), 'train_cfg.max_epochs': 2,
               'val_cfg': None, 'val_dataloader': None, 'val_evaluator': None}
    for milestones, warned in (([80], True), ([1], False)):
        run_training('benchmarks/linear/linear_utdmhad_xsub.py', tmp_path / str(warned), options={
            **options, 'param_scheduler.milestones': milestones, 'experiment_name': f'reports_{next(COUNTER)}'})
        assert ('goes to epoch 80' in ''.join(capfd.readouterr())) == warned


def test_a_model_that_diverged_has_no_accuracy(encoder, tiny_archive, tmp_path):
    def train(guarded: bool) -> None:
        cfg = load_config('benchmarks/finetune/finetune_utdmhad_xsub.py', {
            'data_root': str(tiny_archive), 'init_from': str(encoder), 'train_cfg.max_epochs': 3,
            'train_cfg.val_interval': 3, 'optim_wrapper.optimizer.lr': 1e20,
            'experiment_name': f'reports_{next(COUNTER)}'})
        if not guarded:
            cfg.default_hooks.pop('non_finite')
        run_training(cfg, tmp_path / str(guarded))

    with pytest.raises(RunError, match='lower optim_wrapper.optimizer.lr'):
        train(guarded=True)
    # with neither guard nor checkpoint
    with pytest.raises(DataError, match='lower optim_wrapper.optimizer.lr'):
        train(guarded=False)
