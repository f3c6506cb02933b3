"""Who is looked at, units and axes that are doubted, folders of arrays, and what is refused instead of guessed."""
import json
import re
import zipfile

import numpy as np
import pytest
import torch

from mmactclr.apis import MotionGallery, SkeletonInferencer, SkeletonStream, read_recordings
from mmactclr.apis.inferencing import Recording
from mmactclr.datasets import ArchiveWriter
from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import get_layout
from mmactclr.utils import read_arrays, write_npz
from mmactclr.utils.cli import report_errors
from tests.test_apis.test_inferencer import BACKBONE, CLASSES, LAYOUT, head, motion, save
from tests.test_datasets.mocap_files import bvh_text


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    return SkeletonInferencer(save(tmp_path_factory.mktemp('classifier') / 'c.pth', dict(
        type='Recognizer', layout='kinect20_utdmhad', backbone=BACKBONE, head=head()), CLASSES))


def upright(frames=30, persons=1, seed=0):
    """Motion with the torso straight up, half a metre long."""
    joints = motion(frames, persons, seed=seed)
    joints[:, :, [4, 8]] = [[.2, .5, 0], [-.2, .5, 0]]
    joints[:, :, [12, 16]] = [[.1, 0, 0], [-.1, 0, 0]]
    return joints


def turned(joints):
    """The same with z up."""
    return joints[..., [0, 2, 1]] * np.array([1, -1, 1], np.float32)


@pytest.fixture(scope='module')
def anchored(classifier):
    other = SkeletonInferencer(classifier.source)
    other.use_anchor([upright(seed=seed) for seed in range(4)])
    return other


def test_persons_who_are_seen_are_looked_at(classifier, anchored):
    one, two = upright(seed=1), upright(seed=2)
    nobody = np.zeros_like(one)
    expected = classifier(np.concatenate([one, two]))[0]
    found = classifier(np.concatenate([nobody, one, nobody, two]))[0]
    np.testing.assert_array_equal(found.embedding, expected.embedding)
    assert not [note for note in found.notes if 'persons' in note]
    three = classifier(np.concatenate([nobody, one, two, one]))[0]
    np.testing.assert_array_equal(three.embedding, expected.embedding)
    assert '3 persons, the model takes 2' in three.notes[0]
    # the actionlet lies with the persons of the recording
    plain = anchored(np.concatenate([one, two]))[0].actionlet
    placed = anchored(np.concatenate([nobody, one, nobody, two]))[0].actionlet
    assert placed.shape[0] == 4 and not placed[[0, 2]].any() and plain.any((1, 2)).all()
    np.testing.assert_array_equal(placed[[1, 3]], plain)
    first = SkeletonInferencer(classifier.source)
    first.use_anchor(np.concatenate([nobody, nobody, one]))
    second = SkeletonInferencer(classifier.source)
    second.use_anchor(np.concatenate([one, nobody]))
    assert torch.equal(first.anchor, second.anchor)


def test_windows_and_streams_look_at_who_is_there_then(classifier):
    """Trackers give a new number to whoever comes back."""
    one, two, three = (upright(16, seed=seed)[0] for seed in (1, 2, 3))
    joints = np.zeros((3, 48, 20, 3), np.float32)
    for person, part in enumerate((one, two, three)):
        joints[person, 16 * person:16 * person + 16] = part
    found = classifier(joints, window=16, hop=16)[0]
    for row, part in zip(found.window_embedding, (one, two, three), strict=True):
        np.testing.assert_allclose(row, classifier(part)[0].embedding, atol=1e-5)
    stream = SkeletonStream(classifier, hop=16)
    looks = [result for t in range(48) if (result := stream.push(joints[:, t])) is not None]
    np.testing.assert_allclose([look.embedding for look in looks], found.window_embedding, atol=1e-5)


def test_the_example_for_onnx_takes_the_same_persons(repo_root):
    import importlib.util
    pytest.importorskip('onnxruntime')
    spec = importlib.util.spec_from_file_location('run_onnx', repo_root / 'docs/examples/run_onnx.py')
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    about = dict(card=dict(max_persons=2, layout=LAYOUT.to_dict()), preparation=[dict(type='ResizeFrames')])
    one, two = upright(seed=1), upright(seed=2)
    nobody = np.zeros_like(one)
    expected = example.prepare(np.concatenate([one, two]), about)
    for left, right in zip(example.prepare(np.concatenate([nobody, one, nobody, two]), about), expected, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(('change', 'note'), [
    (lambda joints: joints * 1000, 'the median torso is 500 m long'),
    (turned, '+y is taken as up, though torsos point there with 0%')])
def test_the_models_own_joints_are_doubted_too(classifier, change, note):
    assert classifier(upright())[0].notes == ()
    assert any(note in each for each in classifier(change(upright()))[0].notes)
    stream = SkeletonStream(classifier)
    looks = [stream.push(frame) for frame in change(upright(16))[0]]
    assert any(note in each for each in looks[-1].notes)
    assert classifier(turned(upright()), up='+z')[0].notes == (
        'kinect20_utdmhad -> kinect20_utdmhad; +z turned up to +y',)


def test_what_was_estimated_is_said_once(classifier, monkeypatch, capsys):
    said = []
    monkeypatch.setattr('mmactclr.apis.inferencing.arguments.print_log', lambda text, **_: said.append(text))
    found = classifier([300 * upright(seed=seed) for seed in range(3)], unit='unknown')
    assert said == [f'recording 0: {found[0].notes[0]}'] and found[2].notes == found[0].notes
    assert 'so that the median torso is 0.5 m long' in said[0]
    stream = SkeletonStream(classifier, unit='cm')
    for frame in 100 * upright(20)[0]:
        stream.push(frame)
    assert len(said) == 2 and said[1].startswith('frames 0 to 15: ') and 'scaled by 0.01 to metres' in said[1]
    with report_errors():
        classifier(100 * upright(), unit='cm')
    assert len(said) == 2 and capsys.readouterr().err.startswith('note: recording 0: ')


@pytest.mark.parametrize('kind', ['csv', 'npz'])
def test_a_unit_that_a_file_does_not_state_is_said_once_and_without_contradiction(
        classifier, tmp_path, monkeypatch, capsys, kind):
    """By the inferencer, which estimates it; converters, which keep such coordinates, are not heard."""
    asked = []
    monkeypatch.setattr('mmactclr.datasets.converters.units.print_log', lambda text, **_: asked.append(text))
    layout, joints = get_layout(LAYOUT), 120 * upright()[0]
    path = tmp_path / f'take.{kind}'
    if kind == 'csv':
        names = ','.join(f'{joint}_{axis}' for joint in layout.joints for axis in 'xyz')
        np.savetxt(path, joints.reshape(len(joints), -1), fmt='%.5f', delimiter=',', header=names, comments='')
    else:
        np.savez(path, keypoint=joints[:, None], offsets=[0, len(joints)], label=[0],
                 joint_names=list(layout.joints), edges=[list(bone) for bone in layout.bones])
    lines = {}
    for name, given in (('unstated', {}), ('factor', dict(metres_per_unit=.01)), ('cm', dict(unit='cm'))):
        if (name, kind) == ('cm', 'npz'):
            continue
        with report_errors():
            found = classifier(str(path), **given)[0]
        lines[name] = capsys.readouterr().err.splitlines()
        assert lines[name] == [f'note: {found.name}: {note}' for note in found.notes]
    assert not asked
    said, = lines['unstated']
    assert re.search('no unit of length is known: scaled by .* the median torso is 0.5 m long; give --unit', said)
    assert not any('no unit' in line or 'kept as' in line for name in lines if name != 'unstated'
                   for line in lines[name])


def test_a_stream_of_a_segmentor_has_its_window(tmp_path):
    segmentor = SkeletonInferencer(save(tmp_path / 's.pth', dict(
        type='Segmentor', layout='kinect20_utdmhad', backbone=BACKBONE, head=head()), CLASSES))
    for window in (8, 30):
        with pytest.raises(ConfigError, match=f'window is {window}, the segmentor was trained on windows of 16'):
            SkeletonStream(segmentor, window)
    stream = SkeletonStream(segmentor, hop=20)  # a stream may skip frames
    assert [stream.push(frame) for frame in upright(16)[0]][-1].frame_score.shape == (16, 3)


@pytest.mark.parametrize('call', ['array', 'stream', 'npz', 'recording', 'bvh', 'archive'])
def test_a_unit_that_is_not_known_is_refused(classifier, tmp_path, tiny_archive, call):
    np.savez(tmp_path / 'a.npz', keypoint=upright(), unit='banana')
    (tmp_path / 'a.bvh').write_text('')
    calls = dict(
        array=lambda: classifier(upright(), unit='banana'), stream=lambda: SkeletonStream(classifier, unit='banana'),
        npz=lambda: classifier(tmp_path / 'a.npz'), recording=lambda: Recording('a', upright(), LAYOUT, 'banana'),
        bvh=lambda: classifier(tmp_path / 'a.bvh', unit='banana'),
        archive=lambda: classifier(tiny_archive, unit='banana'))
    with pytest.raises(ConfigError, match="unit is 'banana', expected one of m, metre.* cm, .*inch"):
        calls[call]()


@pytest.mark.parametrize('field', ['unit', 'layout'])
def test_an_npz_says_one_unit_and_one_layout(classifier, tmp_path, field):
    np.savez(tmp_path / 'a.npz', keypoint=upright(), **{field: np.array(['m', 'cm'])})
    with pytest.raises(DataError, match=rf'a\.npz: {field} is an array of <U2, shape \(2,\); expected one text'):
        classifier(tmp_path / 'a.npz')


def bvh(path):
    """A body of 14 joints in centimetres that stands still."""
    parents = dict(Hips=None, Neck='Hips', Head='Neck')
    offsets = dict(Hips=(0, 0, 0), Neck=(0, 50, 0), Head=(0, 20, 0))
    for side, sign in (('Left', 1), ('Right', -1)):
        for joint, parent, offset in (('Shoulder', 'Neck', (15 * sign, 0, 0)), ('Elbow', 'Shoulder', (0, -28, 0)),
                                      ('Hand', 'Elbow', (0, -25, 0)), ('Hip', 'Hips', (10 * sign, 0, 0)),
                                      ('Knee', 'Hip', (0, -42, 0)), ('Ankle', 'Knee', (0, -42, 0))):
            parents[side + joint] = parent if parent in parents else side + parent
            offsets[side + joint] = offset
    turns = ['Zrotation', 'Xrotation', 'Yrotation']
    channels = {name: (['Xposition', 'Yposition', 'Zposition'] if parent is None else []) + turns
                for name, parent in parents.items()}
    values = {name: np.zeros((6, len(channels[name]))) for name in parents}
    values['Hips'][:, 1] = 95
    offsets = {name: np.array(each) for name, each in offsets.items()}
    path.write_bytes(bvh_text(parents, offsets, channels, values, fps=30))
    return path


def test_a_unit_reaches_files_that_do_not_say_theirs(classifier, tmp_path):
    pytest.importorskip('pybvh')
    path = bvh(tmp_path / 'a.bvh')

    def torso(recording):
        joints = {name.lower(): i for i, name in enumerate(recording.layout.joints)}
        ends = [recording.keypoint[0, 0, [joints[f'left{part}'], joints[f'right{part}']]].mean(0)
                for part in ('shoulder', 'hip')]
        return float(np.linalg.norm(ends[0] - ends[1]))

    for unit, length in (('cm', .5), ('Millimetres', .05), ('feet', 50 * .3048)):
        (found,) = read_recordings(path, unit=unit)
        assert found.unit == 'm' and torso(found) == pytest.approx(length, rel=1e-5)
    assert read_recordings(path)[0].unit == 'unknown' and torso(read_recordings(path)[0]) == pytest.approx(50)
    with pytest.raises(ConfigError, match="unit is 'pixel', format 'bvh' has m, cm"):
        read_recordings(path, unit='pixel')
    # an archive that does not know takes what is said
    with ArchiveWriter(tmp_path / 'unknown', LAYOUT, unit='unknown') as writer:
        writer.add(100 * upright()[..., :], name='a')
        writer.finish()
    np.testing.assert_allclose(classifier(tmp_path / 'unknown', unit='cm')[0].embedding,
                               classifier(upright())[0].embedding, atol=1e-4)


def test_what_a_recording_says_of_itself_is_not_overruled(classifier, tiny_archive, tmp_path):
    np.savez(tmp_path / 'a.npz', keypoint=upright(), unit='m', layout='kinect20_utdmhad')
    recording = Recording('mine', upright(), LAYOUT)
    for source in (tiny_archive, tmp_path / 'a.npz', recording):
        with pytest.raises(ConfigError, match='is in m as it says itself, not in cm; leave unit out'):
            classifier(source, unit='cm')
        with pytest.raises(ConfigError, match="has the 20 joints of layout 'kinect20_utdmhad', not those of 'coco17'"):
            classifier(source, layout='coco17')
        with pytest.raises(ConfigError, match='read by no converter, so option foo'):
            classifier(source, options=dict(foo=1))
        expected = classifier(source)[0].embedding
        np.testing.assert_array_equal(classifier(source, unit='metres', layout=LAYOUT)[0].embedding, expected)
    with pytest.raises(ConfigError, match='an array is read by no converter, so option foo'):
        classifier(upright(), options=dict(foo=1))
    with pytest.raises(ConfigError, match='give one of them'):
        classifier(upright(), unit='cm', metres_per_unit=.01)


@pytest.fixture
def arrays(tmp_path):
    """Two classes of recordings, as npy, npz and CSV."""
    for i, (name, write) in enumerate((('wave/a.npy', np.save), ('nod/b.npz', None), ('wave/c2.npy', np.save),
                                       ('wave/c10.npy', np.save))):
        path = tmp_path / 'mine' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        joints = upright(seed=i)
        np.savez(path, keypoint=joints, layout='kinect20_utdmhad') if write is None else write(path, joints)
    return tmp_path / 'mine'


def test_a_folder_of_arrays(classifier, arrays, tmp_path):
    expected = [classifier(arrays / name)[0].embedding for name in ('wave/a.npy', 'nod/b.npz', 'wave/c2.npy',
                                                                    'wave/c10.npy')]
    with zipfile.ZipFile(tmp_path / 'mine.zip', 'w') as packed:
        for path in arrays.rglob('*.np*'):
            packed.write(path, path.relative_to(arrays))
    for source in (arrays, tmp_path / 'mine.zip'):
        found = classifier(source)
        np.testing.assert_array_equal([each.embedding for each in found], expected)
        assert [each.name.rpartition('/')[2] for each in found] == ['a.npy', 'b.npz', 'c2.npy', 'c10.npy']
        # as with CSV files, a folder is a class
        assert [r.classes[r.label] for r in read_recordings(source, fallback=LAYOUT)] == ['wave', 'nod', 'wave', 'wave']
    header = ','.join(f'{joint}_{axis}' for joint in LAYOUT.joints for axis in 'xyz')
    np.savetxt(arrays / 'wave' / 'd.csv', upright(seed=9)[0].reshape(30, 60), delimiter=',', header=header, comments='',
               fmt='%.9g')
    assert len(classifier(arrays)) == 5
    np.testing.assert_allclose(classifier(arrays)[4].embedding, classifier(upright(seed=9))[0].embedding, atol=1e-5)


def test_a_folder_is_as_careful_as_a_file(classifier, arrays, tmp_path):
    np.save(arrays / 'wave' / 'z.npy', np.array([dict(a=1)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r'z\.npy cannot be read \(it holds Python objects'):
        classifier(arrays)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'texts').mkdir()
    (tmp_path / 'texts' / 'a.txt').write_text('')
    for folder in ('empty', 'texts'):
        with pytest.raises(DataError, match=rf"{folder} holds no file .*npy.*options=dict\(format='csv'\)"):
            classifier(tmp_path / folder)


@pytest.mark.parametrize('name', ['a.npy', 'a.npz'])
@pytest.mark.parametrize('content', [b'hi\n', b'time,hip_x\n', b'\x80\x04K\x01.', b''],
                         ids=['text', 'csv', 'pickle', 'nothing'])
def test_files_of_another_kind_are_said_to_be(classifier, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    for read in (lambda: read_arrays(tmp_path / name, name), lambda: MotionGallery.load(tmp_path / name)):
        with pytest.raises(DataError, match='no file of numpy.save or numpy.savez') as caught:
            read()
        assert 'allow_pickle' not in str(caught.value) and repr(content[:6]) in str(caught.value)
    with pytest.raises(DataError, match='expected a file of tools/gallery.py build'):
        MotionGallery.load(tmp_path / name)


@pytest.mark.parametrize('value', [1e38, -1e300])
def test_absurd_coordinates_are_refused(classifier, value):
    joints = upright().astype(np.float64)
    joints[0, 3, 2, 1] = value
    with pytest.raises(DataError, match='a coordinate is 1e[+](38|300), expected at most 1e[+]12'):
        classifier([upright(), joints])
    with pytest.raises(DataError, match='frame 0: a coordinate is'):
        SkeletonStream(classifier).push(joints[0, 3])


def test_a_result_that_is_not_finite_is_refused(classifier):
    broken = SkeletonInferencer(classifier.source)
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float('nan'))
    with pytest.raises(DataError, match='wave: what the model makes of it is not finite'):
        broken(Recording('wave', upright(), LAYOUT))


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(window=1.5), 'window is 1.5, expected a whole number'), (dict(window='5'), "window is '5'"),
    (dict(window=True), 'window is True'), (dict(window=8, hop=2.), 'hop is 2.0'),
    (dict(metres_per_unit='a'), "metres_per_unit is 'a'"), (dict(layout=5), 'layout is 5'),
    (dict(unit=5), 'unit is 5')])
def test_arguments_of_another_type_are_named(classifier, arguments, message):
    with pytest.raises(ConfigError, match=message):
        classifier(upright(), **arguments)


@pytest.mark.parametrize(('arguments', 'message'), [
    (dict(window='a'), "window is 'a'"), (dict(hop=1.5), 'hop is 1.5'), (dict(hop=0), 'hop is 0'),
    (dict(unit=None), 'unit is None')])
def test_arguments_of_a_stream_are_named(classifier, arguments, message):
    with pytest.raises(ConfigError, match=message):
        SkeletonStream(classifier, **arguments)
    with pytest.raises(ConfigError, match="batch_size is 'a'"):
        SkeletonInferencer(classifier.source, batch_size='a')


@pytest.mark.parametrize('frame', [[['a'] * 3] * 20, [[1, 2], [3]], None, dict(a=1)])
def test_a_frame_of_no_numbers_is_named(classifier, frame):
    with pytest.raises(DataError, match='frame 0: .*joints, 2 or 3'):
        SkeletonStream(classifier).push(frame)
    with pytest.raises(DataError, match='recording 0: '):
        classifier([frame] if frame is None else frame)


def test_an_npz_is_whole_or_absent(tmp_path, monkeypatch, classifier):
    write_npz(tmp_path / 'new' / 'a.npz', dict(x=np.arange(3)))
    before = (tmp_path / 'new' / 'a.npz').read_bytes()
    plain = np.savez

    def fails(path, **columns):
        plain(path, **columns)
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(np, 'savez', fails)
    with pytest.raises(OSError, match='No space'):
        write_npz(tmp_path / 'new' / 'a.npz', dict(x=np.arange(4)))
    gallery = MotionGallery(np.eye(2), ['a', 'b'], [-1, -1], [], 'model')
    with pytest.raises(DataError, match='g.npz cannot be written .*No space'):
        gallery.save(tmp_path / 'new' / 'g')
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['a.npz']
    assert (tmp_path / 'new' / 'a.npz').read_bytes() == before


def test_hints_are_in_the_words_of_the_caller(tmp_path, capsys):
    (tmp_path / 'a.txt').write_text('')
    with pytest.raises(DataError, match=r"name the format: options=dict\(format='csv'\)"):
        read_recordings(tmp_path / 'a.txt')
    with pytest.raises(SystemExit), report_errors():
        read_recordings(tmp_path / 'a.txt')
    assert 'name the format: --format csv' in capsys.readouterr().err
    with pytest.raises(SystemExit), report_errors():
        read_recordings(motion())
    assert 'name the layout with --layout' in capsys.readouterr().err


def test_notes_and_layouts_are_plain_data(classifier):
    found = classifier(turned(upright()), layout=get_layout('kinect20_utdmhad'))[0]
    assert json.loads(json.dumps(found.to_dict()))['notes'] == list(found.notes) != []
