"""Pose estimators: every form that is known gives the same recording, people are followed, wrong fields are named."""
import functools
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets import SkeletonDataset
from mmactclr.datasets.converters import PoseConverter
from mmactclr.datasets.converters.labels import Labels
from mmactclr.datasets.converters.pose import read_pose
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import get_layout

from .fuzzing import MemoryFile, check_reader


def people(frames: int = 9, persons: int = 1, joints: int = 17, axes: int = 2, seed: int = 0) -> np.ndarray:
    """(M, T, V, C) people who stand apart and move little from frame to frame."""
    rng = np.random.default_rng(seed)
    body = rng.uniform(0, 100, (persons, 1, joints, axes))
    body[..., 0] += 500 * np.arange(1, persons + 1)[:, None, None]
    return (body + rng.normal(0, 3, (persons, frames, joints, axes)).cumsum(1)).round(3)


def sure(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).uniform(.5, 1, shape).round(3)


def alphapose(motion, scores):
    return [dict(image_id=f'{t:06}.jpg', category_id=1, score=2.5,
                 keypoints=np.column_stack([motion[m, t], scores[m, t]]).ravel().tolist())
            for t in range(motion.shape[1]) for m in range(len(motion))]


def mmpose(motion, scores):
    return dict(meta_info={}, instance_info=[
        dict(frame_id=t + 1, instances=[dict(keypoints=motion[m, t].tolist(), keypoint_scores=scores[m, t].tolist(),
                                             bbox=[[0, 0, 1, 1]], track_id=m) for m in range(len(motion))])
        for t in range(motion.shape[1])])


def openpose(motion, scores):
    return dict(fps=25, frames=[dict(people=[
        dict(pose_keypoints_2d=np.column_stack([motion[m, t], scores[m, t]]).ravel().tolist())
        for m in range(len(motion))]) for t in range(motion.shape[1])])


def coco(motion, scores):
    return dict(images=[], annotations=[dict(entry, image_id=t // len(motion), id=t) | dict(track_id=t % len(motion))
                                        for t, entry in enumerate(alphapose(motion, scores))])


def mediapipe(motion, scores, name='pose_world_landmarks'):
    return [{name: [dict(x=x, y=y, z=z, visibility=s) for (x, y, z), s in zip(frame, sure_of, strict=True)]}
            for frame, sure_of in zip(motion[0].tolist(), scores[0].tolist(), strict=True)]


FORMS = {form.__name__: form for form in (alphapose, mmpose, openpose, coco)}


def read(content, name='a.json', layout='coco17', axes=2, **options):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    file = MemoryFile(Path(name), size=len(content), content=content)
    (clip,) = read_pose(file, get_layout(layout), axes, Labels([]), **options)
    return clip.keypoint


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('persons', [1, 2])
def test_every_form_gives_the_same_recording(form, persons):
    motion = people(persons=persons)
    assert np.array_equal(read(FORMS[form](motion, sure(motion.shape[:3]))), motion.astype(np.float32))


@pytest.mark.parametrize('name', ['pose_world_landmarks', 'poseWorldLandmarks', 'world_landmarks'])
def test_mediapipe(name):
    motion = people(joints=33, axes=3) / 100
    content = mediapipe(motion, sure(motion.shape[:3]), name)
    assert np.array_equal(read(content, layout='mediapipe33', axes=3), motion.astype(np.float32))
    content.insert(4, {name: None})  # a frame without anybody
    found = read(content, layout='mediapipe33', axes=3)
    assert np.array_equal(found, np.insert(motion, 4, 0, axis=1).astype(np.float32))


def test_landmarks_alone_and_lists_of_people():
    motion = people(joints=33, axes=3)
    content = mediapipe(motion, sure(motion.shape[:3]), 'pose_landmarks')
    alone = [frame['pose_landmarks'] for frame in content]
    listed = [dict(pose_landmarks=[frame['pose_landmarks']]) for frame in content]
    for each in (content, alone, listed):
        assert np.array_equal(read(each, layout='mediapipe33'), motion[..., :2].astype(np.float32))


def npz(**fields) -> bytes:
    out = io.BytesIO()
    np.savez(out, **fields)
    return out.getvalue()


@pytest.mark.parametrize('persons', [1, 2])
def test_npz(persons):
    motion = people(persons=persons).astype(np.float32)
    frames = motion.transpose(1, 0, 2, 3)
    assert np.array_equal(read(npz(keypoints=frames), 'a.npz'), motion)
    if persons == 1:
        assert np.array_equal(read(npz(keypoints=frames[:, 0], scores=sure(frames.shape[:1] + (17,))), 'a.npz'), motion)
    frames[3, 0, 5] = np.nan
    expected = motion.copy()
    expected[0, 3, 5] = 0
    assert np.array_equal(read(npz(keypoints=frames), 'a.npz'), expected)


def test_joints_that_the_estimator_doubts_are_zero():
    motion, scores = people(), sure((1, 9, 17))
    found = read(alphapose(motion, scores), min_score=.7)
    assert np.array_equal(found, np.where((scores >= .7)[..., None], motion, 0).astype(np.float32))


def test_people_are_followed_through_changes_of_order_and_gaps():
    motion = people(20, 2)
    content = openpose(motion, sure((2, 20, 17)))
    for t, frame in enumerate(content['frames']):
        if t % 3 == 1:
            frame['people'] = frame['people'][::-1]
        if t in (5, 6, 7):
            frame['people'] = [p for p in frame['people'] if np.mean(p['pose_keypoints_2d'][::3]) > 800]
    motion[0, 5:8] = 0
    assert np.array_equal(read(content), motion.astype(np.float32))


def test_people_are_told_apart_by_the_joints_that_were_found():
    motion, scores = people(20, 2), sure((2, 20, 17))
    motion[1, :, :, 0] -= 380  # they stand close to each other
    scores[0, 3::2, 5:] = 0  # of one of them only the head is found in every other frame
    motion = np.where(scores[..., None] > 0, motion, 0)
    content = openpose(motion, scores)
    for frame in content['frames'][1::3]:
        frame['people'] = frame['people'][::-1]
    assert np.array_equal(read(content), motion.astype(np.float32))


def test_annotations_without_tracks_are_followed():
    motion = people(12, 2)
    content = coco(motion, sure((2, 12, 17)))
    for entry in content['annotations']:
        del entry['track_id']  # "id" counts annotations, not people
    assert np.array_equal(read(content), motion.astype(np.float32))


@pytest.mark.parametrize('spelling', [lambda m: m, lambda m: [float(m)], lambda m: [[m, 7], 8], str])
def test_tracks_are_taken_from_the_estimator(spelling):
    motion = people(8, 2)
    motion[:, 4:] = motion[::-1, 4:]  # two who change places at once: nearness would mix them up
    content = alphapose(motion, sure((2, 8, 17)))
    for i, entry in enumerate(content):
        entry['idx'] = spelling(i % 2)
    assert np.array_equal(read(content), motion.astype(np.float32))
    for entry in content:
        entry['idx'] = -1  # no track: by nearness
    assert not np.array_equal(read(content), motion.astype(np.float32))


@pytest.mark.parametrize(('people_name', 'name'), [('people', 'pose_keypoints_2d'), ('bodies', 'joints')])
def test_frames_by_the_name_of_their_image(people_name, name):
    motion, scores = people(12, 2), sure((2, 12, 17))
    content = {f'{t}.jpg': {'version': 'AlphaPose v0.3', people_name: [
        {name: np.column_stack([motion[m, t], scores[m, t]]).ravel().tolist()} for m in range(2)]} for t in range(12)}
    assert np.array_equal(read(content), motion.astype(np.float32))


def test_shares_of_an_image_become_pixels_where_its_size_is_said():
    motion = people(joints=33, axes=3)
    frames = mediapipe(motion, sure(motion.shape[:3]), 'pose_landmarks')
    found = read(dict(frames=frames, width=1920, height=1080), layout='mediapipe33')
    assert np.allclose(found, motion[..., :2] * (1920, 1080), rtol=1e-6)
    with pytest.raises(DataError, match='a.json: field width is 0'):
        read(dict(frames=frames, width=0, height=1080), layout='mediapipe33')


def test_a_file_a_frame(tmp_path):
    videos = {}
    for i, (label, name) in enumerate([('wave', 'a'), ('wave', 'b.v2'), ('nod', 'c')]):
        motion = people(5 + i, 2, joints=25, seed=i)
        # one video with a folder of its own, as the name of the class would otherwise be that of the video
        folder = tmp_path / 'raw' / label / name if name == 'c' else tmp_path / 'raw' / label
        folder.mkdir(parents=True, exist_ok=True)
        for t, frame in enumerate(openpose(motion, sure((2, 5 + i, 25)))['frames']):
            (folder / f'{name}_{t + 7:012}_keypoints.json').write_text(json.dumps(dict(version=1.3, **frame)))
        videos[name] = label, motion
    archive = PoseConverter().convert(tmp_path / 'raw', tmp_path / 'a', fps=25)
    assert archive.layout.name == 'openpose25' and archive.classes == ('nod', 'wave')
    assert archive.column('name').tolist() == ['a', 'b.v2', 'c']
    for i, name in enumerate(archive.column('name')):
        label, motion = videos[name]
        assert archive.classes[archive.labels[i]] == label
        assert np.array_equal(archive.sequence(i), motion.astype(np.float32))
    (tmp_path / 'labels.csv').write_text('file,label\nnod/c.json,x\nwave/a,y\n')
    archive = PoseConverter().convert(tmp_path / 'raw', tmp_path / 'b', labels=tmp_path / 'labels.csv')
    assert archive.column('name').tolist() == ['a', 'c'] and archive.labels.tolist() == [1, 0]
    (tmp_path / 'raw' / 'wave' / 'a_000000000008_keypoints.json').write_text('[')
    shutil.make_archive(str(tmp_path / 'zipped'), 'zip', tmp_path / 'raw')
    archive = PoseConverter().convert(tmp_path / 'zipped.zip', tmp_path / 'c')
    assert archive.column('name').tolist() == ['b.v2', 'c'] and archive.classes == ('nod', 'wave')
    (damaged,) = archive.meta['excluded']['the file is damaged']
    assert 'a_000000000008_keypoints.json, line 1' in damaged


def test_those_seen_most_are_kept_and_frames_without_anybody_are_zero():
    motion = people(12, 3)
    content = [entry for entry in alphapose(motion, sure((3, 12, 17)))]
    content = [entry for i, entry in enumerate(content) if not (i % 3 == 0 and i // 3 > 4) and i // 3 != 8]
    motion[:, 8] = 0
    assert np.array_equal(read(content), motion[1:].astype(np.float32))


def write(folder: Path, seeds=range(6)) -> None:
    for i in seeds:
        path = folder / ['wave', 'nod'][i % 2] / f'video{i}.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(alphapose(people(seed=i), sure((1, 9, 17)))))


def test_a_folder_becomes_an_archive_that_a_model_can_read(tmp_path):
    write(tmp_path / 'raw')
    (tmp_path / 'raw' / 'nod' / 'nobody.json').write_text(json.dumps([dict(people=[])] * 5))
    (tmp_path / 'raw' / 'nod' / 'broken.json').write_text('[{"keypoints": [1, 2')
    archive = PoseConverter().convert(tmp_path / 'raw', tmp_path / 'a', fps=25)
    assert archive.layout.name == 'coco17' and archive.meta['unit'] == 'pixel' and archive.meta['fps'] == 25
    assert archive.classes == ('nod', 'wave') and len(archive) == 6
    damaged = ' '.join(archive.meta['excluded']['the file is damaged'])
    assert 'nobody.json: nobody in any frame' in damaged and 'broken.json, line 1' in damaged
    # images count downwards
    dataset = SkeletonDataset(tmp_path / 'a', split=None, layout='ntu25', remap=True, up='-y', num_frames=5)
    assert dataset.prepared.shape == (6, 2, 5, 25, 3)


@pytest.mark.parametrize(('content', 'message'), [
    ([], 'an empty list'), ({'x': 1}, "fields \\['x'\\]"), (3, 'int, expected'), ([3], '\\[0\\]: int'),
    ([{'x': 1}], "\\[0\\]: fields \\['x'\\]"), ([{'keypoints': 3}], '\\[0\\].keypoints: int'),
    ([{'keypoints': [1, 2]}], '\\[0\\].keypoints: 2 numbers'), ([{'keypoints': [[1, 2], [3]]}], 'keypoints\\[1\\]'),
    ([{'keypoints': [1, 'x', 1]}], "number 1 is 'x'"), ([{'keypoints': [1, True, 1]}], 'number 1 is True'),
    ([{'keypoints': [[1, 2]] * 17, 'keypoint_scores': [1]}], '1 scores of 17'),
    ([{'keypoints': [1, 2, 1], 'image_id': 'x'}], "image_id: 'x'"),
    ([{'keypoints': [1, 2, 1], 'image_id': -1}], 'image_id'),
    ([{'people': [{}]}], 'people\\[0\\]: no field pose_keypoints_2d'), ([{'landmarks': [{'x': 1}]}], 'no field y'),
    ([{'keypoints': [1, 2, 1]}, {'keypoints': [1, 2, 1] * 2}], 'mixes people'),
    ([{'keypoints': [1, 2, 1], 'image_id': i} for i in (0, 99999999)], 'expected numbers of frames'),
    ({'fps': -1, 'frames': [1]}, 'fps is -1'), ([{'people': []}], 'nobody in any frame')])
def test_wrong_fields_are_named(content, message):
    with pytest.raises(DataError, match=f'a.json.*{message}'):
        read(content)


@pytest.mark.parametrize(('fields', 'message'), [
    (dict(points=np.zeros(3)), 'expected a field keypoints'), (dict(keypoints=np.zeros((3, 17))), 'expected a field'),
    (dict(keypoints=np.zeros((3, 17, 5))), 'has shape'),
    (dict(keypoints=np.ones((3, 17, 2)), scores=np.ones(3)), 'scores'),
    (dict(keypoints=np.full((3, 17, 2), np.inf)), 'not finite'), (dict(keypoints=np.ones((3, 17, 2)), fps=-1), 'fps'),
    (dict(keypoints=np.array([{}] * 3)), 'without pickles')])
def test_wrong_npz(fields, message):
    with pytest.raises(DataError, match=f'a.npz.*{message}'):
        read(npz(**fields), 'a.npz')
    with pytest.raises(DataError, match='a.npz'):
        read(npz(keypoints=np.ones((3, 17, 2)))[:-40], 'a.npz')


@pytest.mark.parametrize('form', [*FORMS, 'mediapipe'])
def test_fuzzed_json(form):
    motion = people(3, 2) if form != 'mediapipe' else people(3, joints=33, axes=3)
    content = json.dumps({**FORMS, 'mediapipe': mediapipe}[form](motion, sure(motion.shape[:3]))).encode()
    layout, axes = ('coco17', 2) if form != 'mediapipe' else ('mediapipe33', 3)
    reader = functools.partial(read_pose, layout=get_layout(layout), axes=axes, labels=Labels([]))
    places = r'line \d+|field|nobody in any frame|frames \d+ to'
    check_reader(reader, 'a.json', content, place=places)


def test_seventeen_joints_with_depth_are_asked_for(tmp_path):
    (tmp_path / 'raw').mkdir()
    motion = people(axes=3)
    (tmp_path / 'raw' / 'a.json').write_text(json.dumps(mmpose(motion, sure((1, 9, 17)))))
    with pytest.raises(ConfigError, match='h36m17 or of coco17: pass --layout'):
        PoseConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    archive = PoseConverter().convert(tmp_path / 'raw', tmp_path / 'a', layout='h36m17')
    assert np.array_equal(archive.sequence(0), motion.astype(np.float32))


def test_joints_that_no_layout_has_are_asked_for(tmp_path):
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw' / 'a.json').write_text(json.dumps(alphapose(people(joints=19), sure((1, 9, 19)))))
    with pytest.raises(ConfigError, match='19 joints.*--layout'):
        PoseConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    with pytest.raises(ConfigError, match='--layout coco17 has 17 joints'):
        PoseConverter().convert(tmp_path / 'raw', tmp_path / 'a', layout='coco17')


def test_the_number_of_an_annotation_is_no_track():
    motion = people(8)
    content = coco(motion, sure((1, 8, 17)))
    for entry in content['annotations']:
        del entry['track_id']
    assert np.array_equal(read(content), motion.astype(np.float32))


def test_a_track_that_two_people_share_is_not_believed():
    motion = people(8, 2)
    content = alphapose(motion, sure((2, 8, 17)))
    for entry in content:
        entry['idx'] = 0
    assert np.array_equal(read(content), motion.astype(np.float32))


def test_files_of_another_kind_are_left_out(tmp_path):
    motion = people(joints=33, axes=3)
    (tmp_path / 'raw').mkdir()
    for name, kind in (('a', 'pose_world_landmarks'), ('b', 'pose_landmarks')):
        (tmp_path / 'raw' / f'{name}.json').write_text(json.dumps(mediapipe(motion, sure((1, 9, 33)), kind)))
    archive = PoseConverter().convert(tmp_path / 'raw', tmp_path / 'a')
    assert archive.column('name').tolist() == ['a'] and archive.meta['unit'] == 'm'
    assert 'in image, that of the other files in m' in archive.meta['excluded']['the file is damaged'][0]
    with pytest.raises(DataError, match='a single frame of OpenPose'):
        read(openpose(people(2), sure((1, 2, 17)))['frames'][0])
