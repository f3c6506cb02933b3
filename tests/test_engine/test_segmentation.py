"""Long sequences: joining clips, windows over them, scores of frames, and putting windows together again."""
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmactclr.apis import run_test, run_training
from mmactclr.datasets import ArchiveWriter, SegmentationDataset, SkeletonArchive, frame_labels
from mmactclr.datasets.converters import JoinedConverter
from mmactclr.datasets.converters.joined import join_clips
from mmactclr.datasets.segmentation_dataset import PADDING, window_starts
from mmactclr.engine.checkpoints import ModelCard
from mmactclr.errors import ConfigError, DataError
from mmactclr.evaluation.segmentation import SegmentationEvaluator, stitch
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from mmactclr.transforms import prepare

from ..conftest import TINY_LAYOUT

COUNTER = itertools.count()


@pytest.fixture(scope='module')
def joined(tiny_archive, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('joined') / 'a'
    JoinedConverter().convert(tiny_archive, path, clips=(2, 4), gap=(.2, .5))
    return path


def test_every_clip_is_in_one_sequence_of_its_part_and_subject(tiny_archive, joined):
    source, archive = SkeletonArchive.open(tiny_archive), SkeletonArchive.open(joined)
    places = {part: set(source.split('xsub', part).tolist()) for part in ('train', 'test')}
    seen = []
    for i in range(len(archive)):
        sequence = archive.sequence(i)
        part = archive.column('split_xsub')[i]
        for entry in str(archive.column('segments')[i]).split(';'):
            label, start, end = map(int, entry.split(':'))
            clip = sequence[:, start:end]
            found = [j for j in range(len(source)) if source.sequence(j).shape[1] == end - start and np.array_equal(
                source.sequence(j), clip[:source.persons(j)]) and not clip[source.persons(j):].any()]
            assert len(found) == 1 and source.labels[found[0]] == label and found[0] in places[part]
            assert source.column('subject')[found[0]] == archive.column('subject')[i]
            seen += found
    assert sorted(seen) == list(range(27))
    assert archive.meta['extra']['segment_classes'] == list(source.classes)


def test_gaps_hold_a_pose_then_move_and_are_in_no_segment():
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(1, 5, 20, 3)), rng.normal(size=(2, 4, 20, 3))]
    sequence, segments = join_clips(clips, np.array([2, 0]), np.array([3, 10, 4]), rng)
    assert segments == [(2, 3, 8), (0, 18, 22)] and sequence.shape == (2, 26, 20, 3)
    assert np.allclose(sequence[:1, 3:8], clips[0]) and np.allclose(sequence[:, 18:22], clips[1])
    gap = sequence[0, 7:19]
    assert np.allclose(gap[0], clips[0][0, -1]) and np.allclose(gap[-1], clips[1][0, 0])
    steps = np.linalg.norm(np.diff(gap, axis=0), axis=(1, 2))
    assert steps[0] == pytest.approx(0, abs=1e-5) and steps.max() < np.linalg.norm(gap[-1] - gap[0])
    assert not sequence[1, :18].any()  # the second person is there in the second clip alone


def test_joining_needs_labels_and_sane_numbers(joined, tiny_archive, tmp_path):
    with pytest.raises(DataError, match='no labels'):
        JoinedConverter().convert(joined, tmp_path / 'a')
    with pytest.raises(ConfigError, match='--clips 4 2'):
        JoinedConverter().convert(tiny_archive, tmp_path / 'a', clips=(4, 2))


@pytest.mark.parametrize(('frames', 'window', 'hop'), [
    (100, 50, 25), (101, 50, 25), (49, 50, 10), (50, 50, 50), (1, 8, 4)])
def test_windows_cover_every_frame(frames, window, hop):
    starts = window_starts(frames, window, hop)
    covered = {t for start in starts for t in range(start, min(start + window, frames))}
    assert covered == set(range(frames)) and starts == sorted(set(starts))
    assert all(b - a <= hop for a, b in itertools.pairwise(starts)) and starts[-1] == max(frames - window, 0)


def test_windows_are_prepared_recordings_with_labels_of_frames(joined):
    archive = SkeletonArchive.open(joined)
    dataset = SegmentationDataset(joined, subset='both', num_frames=16, hop=10, max_persons=2)
    batch = dataset.__getitems__(range(len(dataset)))
    assert dataset.metainfo['classes'] == ('right hand', 'left hand', 'both', 'background')
    for k in np.random.default_rng(0).choice(len(dataset), 12, replace=False):
        i, start = int(batch['sequence'][k]), int(batch['start'][k])
        window = archive.sequence(i)[:, start:start + 16]
        expected, mask = prepare([window], archive.layout, 16, 2, [dict(type='Centre'), dict(type='AlignShoulders')])
        assert torch.allclose(batch['inputs'][k], expected[0], atol=1e-6) and torch.equal(batch['mask'][k], mask[0])
        labels = frame_labels(str(archive.column('segments')[i]), archive.frames(i), background=3)
        assert batch['label'][k].tolist() == labels[start:start + 16].tolist()
        assert int(batch['role'][k]) == (archive.column('split_xsub')[i] == 'test')


def test_a_sequence_shorter_than_a_window_is_continued_and_marked(joined):
    frames = SkeletonArchive.open(joined).column('frames')
    dataset = SegmentationDataset(joined, split=None, num_frames=int(frames.min()) + 5, max_persons=1)
    k = int(np.flatnonzero(dataset.sequence == frames.argmin())[0])
    sample = dataset[k]
    assert (sample['label'][-5:] == PADDING).all() and (sample['label'][:-5] != PADDING).all()
    assert torch.allclose(sample['inputs'][0, -1], sample['inputs'][0, -6], atol=1e-6)


def test_what_is_wrong_is_named(joined, tiny_archive):
    with pytest.raises(DataError, match='no labels of frames'):
        SegmentationDataset(tiny_archive)
    with pytest.raises(ConfigError, match='hop is 0'):
        SegmentationDataset(joined, hop=0)
    with pytest.raises(ConfigError, match="layout 'ntu25'"):
        SegmentationDataset(joined, layout='ntu25')


@pytest.mark.parametrize(('segments', 'names', 'message'), [
    # background is no class that a segment can have
    ('3:2:8', ('a', 'b'), 'has a segment of class 3, expected 0 to 2'),
    ('1:2:8', ('a', 'a'), "the name 'a' stands for several sequences")])
def test_wrong_segments_and_double_names_are_refused(tmp_path, segments, names, message):
    with ArchiveWriter(tmp_path / 'a', TINY_LAYOUT, extra=dict(segment_classes=['x', 'y', 'z'])) as writer:
        for name in names:
            writer.add(np.random.default_rng(0).normal(size=(1, 20, 20, 3)), name=name, segments=segments)
        writer.finish()
    with pytest.raises(DataError, match=message):
        SegmentationDataset(tmp_path / 'a', split=None)


def test_other_classes_than_the_models_have_no_accuracy(monkeypatch):
    said = []
    monkeypatch.setattr('mmactclr.evaluation.segmentation.print_log', lambda text, **_: said.append(text))
    evaluator = SegmentationEvaluator(classes=['a', 'background'])
    evaluator.dataset_meta = dict(classes=('b', 'background'), frames=[4], names=['x'])
    evaluator.process(None, [dict(role=1, sequence=0, start=0, label=[0, 0, 1, 1], features=dict(
        frame_score=torch.eye(2)[[0, 0, 1, 1]]))])
    assert evaluator.compute_metrics(evaluator.results) == {}
    assert len(said) == 1 and 'no accuracy: the 2 classes of the data' in said[0]
    evaluator.classes = ['b', 'background']
    assert evaluator.compute_metrics(evaluator.results)['accuracy'] == 100.


def test_windows_are_put_together_by_the_mean_of_their_probabilities():
    generator = torch.Generator().manual_seed(0)
    windows = [(start, torch.randn(6, 3, generator=generator)) for start in (0, 4, 7)]
    found = stitch(windows, 12)
    for t in range(12):
        shares = [scores[t - start].softmax(0) for start, scores in windows if start <= t < start + 6]
        assert torch.allclose(found[t], sum(shares) / len(shares), atol=1e-6)
    with pytest.raises(ConfigError, match='frame 6 of a sequence of 12'):
        stitch([windows[0], (8, windows[1][1])], 12)


def segmentor(**changes):
    config = dict(type='Segmentor', layout=TINY_LAYOUT,
                  head=dict(type='ClassificationHead', in_channels=8, num_classes=4),
                  backbone=dict(type='STGCN', layout=TINY_LAYOUT, channels=[4, 8], strided_units=[2]), **changes)
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.init_weights()
    return model.eval()


def test_scores_of_frames_keep_time_and_average_joints_and_persons():
    model = segmentor()
    x, mask = torch.randn(3, 2, 12, 20, 3), torch.tensor([[True, True], [True, False], [True, True]])
    x = x * mask[:, :, None, None, None]
    found = model.extract(x, mask)['frame_score']
    assert found.shape == (3, 12, 4)
    rows = x.permute(0, 1, 4, 2, 3).reshape(6, 3, 12, 20)
    cells = model.backbone(rows).mean(3).view(3, 2, 8, 6).mean(1)
    scores = torch.stack([model.head(cells[:, :, t]) for t in range(6)], 2)
    assert torch.allclose(found, F.interpolate(scores, 12, mode='linear').transpose(1, 2), atol=1e-5)


def test_frames_beyond_the_end_do_not_count():
    model = segmentor(data_preprocessor=dict(type='ContrastivePreprocessor', layout=TINY_LAYOUT, views=dict(view={})))
    x, mask = torch.randn(2, 1, 12, 20, 3), torch.ones(2, 1, dtype=torch.bool)
    label = torch.randint(4, (2, 12))
    label[1, 7:] = PADDING
    batch = dict(inputs={'joint': {'view': x}}, masks={'view': mask}, label=label, index=torch.arange(2))
    ((_, loss),) = model.losses(batch)
    scores = model.extract(x, mask)['frame_score']
    expected = torch.cat([-scores[0].log_softmax(1)[range(12), label[0]],
                          -scores[1, :7].log_softmax(1)[range(7), label[1, :7]]]).mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    with pytest.raises(DataError, match='num_classes=4'):
        dict(model.losses({**batch, 'label': label + 3}))


def test_evaluation_of_a_perfect_and_of_a_blind_model():
    frames, rng = np.array([30, 25]), np.random.default_rng(0)
    truths = [np.repeat(rng.integers(0, 4, 6), 5), np.repeat(rng.integers(0, 4, 5), 5)]
    for perfect in (True, False):
        metric = SegmentationEvaluator()
        metric.dataset_meta = dict(classes=('a', 'b', 'c', 'background'), frames=frames, names=np.array(['x', 'y']))
        samples = []
        for sequence, truth in enumerate(truths):
            for start in window_starts(len(truth), 10, 5):
                label = truth[start:start + 10]
                score = 9. * F.one_hot(torch.tensor(label if perfect else np.full(10, 3)), 4).float()
                samples.append(dict(role=1, sequence=sequence, start=start, label=label.tolist(),
                                    features={'frame_score': score}))
        metric.process(None, samples)
        found = metric.evaluate(len(samples))
        both = np.concatenate(truths)
        assert found['segmentation/accuracy'] == pytest.approx(100 * np.mean(perfect | (both == 3)))
        assert found['segmentation/majority'] == pytest.approx(100 * np.bincount(both).max() / len(both))
        if perfect:
            assert found['segmentation/edit'] == found['segmentation/f1@50'] == found['segmentation/miou'] == 100
        else:
            assert found['segmentation/edit'] == found['segmentation/f1@10'] == 0


@pytest.mark.parametrize('streams', [['motion'], ['joint', 'bone']])
def test_a_run_from_an_encoder_to_metrics(joined, tmp_path, streams):
    branch = dict(type='Recognizer', layout=TINY_LAYOUT, head=None, stream=streams[0], backbone=dict(
        type='STGCN', layout=TINY_LAYOUT, channels=[4, 8], strided_units=[2]))
    model = branch if len(streams) == 1 else dict(type='MultiStream', branch=branch, streams=streams)
    card = ModelCard(model=model, layout=get_layout(TINY_LAYOUT).to_dict(), num_frames=16, max_persons=1)
    weights = MODELS.build(model).state_dict()
    torch.save({'state_dict': weights, 'meta': {'mmactclr': card.to_dict()}}, tmp_path / 'e.pth')
    config, options = 'benchmarks/segmentation/segmentation_utdmhad_xsub.py', {'data_root': str(joined)}
    runner = run_training(config, tmp_path / 'run', options={
        **options, 'init_from': str(tmp_path / 'e.pth'), 'train_cfg.max_epochs': 3, 'train_cfg.val_interval': 3,
        'param_scheduler.T_max': 3, 'experiment_name': f'segmentation_{next(COUNTER)}',
        'train_dataloader.batch_size': 8})
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert losses[-1] < losses[0]
    validated = json.loads((tmp_path / 'run' / 'metrics.json').read_text())['val']
    assert validated['protocol'][0]['window'] == {'frames': 16, 'hop': 8}
    tested = run_test(config, tmp_path / 'run' / 'epoch_3.pth', tmp_path / 'test', options)
    assert tested == pytest.approx(validated['metrics'])
    assert tested['segmentation/accuracy'] > 0
