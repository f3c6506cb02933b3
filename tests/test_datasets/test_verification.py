"""verify_archive finds what opening cannot see, and is silent about a sound archive."""
import json
import re

import numpy as np
import pytest

from mmactclr.datasets import ArchiveWriter, verify_archive
from mmactclr.datasets.archive_format import file_sha256
from mmactclr.datasets.converters import FlatConverter

from .conftest import LAYOUT

V = LAYOUT.num_joints


def edit_rows(path, row, value, honest=True):
    """Overwrites a row of coordinates; ``honest`` also corrects the checksum."""
    rows = np.load(path / 'keypoints.npy', mmap_mode='r+')
    rows[row] = value
    rows.flush()
    if honest:
        note_checksum(path, 'keypoints.npy')


def edit_index(path, **columns):
    with np.load(path / 'index.npz') as stored:
        index = dict(stored)
    np.savez(path / 'index.npz', **(index | columns))
    note_checksum(path, 'index.npz')


def edit_meta(path, **fields):
    meta = json.loads((path / 'meta.json').read_text())
    (path / 'meta.json').write_text(json.dumps(meta | fields))


def note_checksum(path, name):
    files = json.loads((path / 'meta.json').read_text())['files']
    files[name] = dict(bytes=(path / name).stat().st_size, sha256=file_sha256(path / name))
    edit_meta(path, files=files)


def body(seed, frames=12, persons=1):
    """(M, T, V, 3) somebody 1.5 m tall who moves, in metres with y up."""
    rng = np.random.default_rng(seed)
    pose = rng.uniform([-.3, 0, 2], [.3, 1.5, 2.3], (V, 3))
    pose[list(LAYOUT.shoulders), 1], pose[list(LAYOUT.hips), 1] = 1.3, .85
    pose[list(LAYOUT.shoulders), 0] = pose[list(LAYOUT.hips), 0] = (-.2, .2)
    moving = pose + rng.normal(0, .01, (persons, frames, V, 3)).cumsum(1) + np.arange(persons)[:, None, None, None]
    return moving.astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """Writes an archive of the given sequences, by default eight sound ones; returns its folder."""

    def archive(sequences=None, splits=None, classes=('wave', 'nod'), unit='m', notes=None, **columns):
        sequences = [body(i, 12 + i, 1 + i % 2) for i in range(8)] if sequences is None else sequences
        columns = dict(subject=np.arange(len(sequences)), camera=np.arange(len(sequences)) % 4) | columns
        splits = dict(xsub=['train', 'train', 'test', 'test'] * 2) if splits is None else splits
        with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=list(classes), fps=30, unit=unit, source='made up',
                           licence='none') as writer:
            for i, sequence in enumerate(sequences):
                writer.add(sequence, label=i % len(classes), name=f'take{i}', notes=(notes or {}).get(i, ()),
                           **{name: values[i] for name, values in columns.items()})
            return writer.finish({name: parts[:len(sequences)] for name, parts in splits.items()}).path

    return archive


def sections(report):
    """Lines of the summary by section."""
    found, name = {}, ''
    for line in report.summary:
        name = line[:11].strip() or name
        found.setdefault(name, []).append(line[11:])
    return found


def test_a_sound_archive_is_described_and_nothing_is_said_against_it(write):
    report = verify_archive(write())
    assert report.ok and not report.warnings and not report.copies
    assert sections(report) == {
        'sequences': ['8 sequences, 124 frames (0.1 minutes at 30 frames per second), 0.0 MiB'],
        'layout': ['kinect20_utdmhad: 20 joints, 3 coordinates, centre shoulder_center'],
        'unit': [sections(report)['unit'][0]],
        'classes': ['2, 4 sequences each'],
        'lengths': ['12 to 19 frames, median 15.5; 0 shorter than 10 frames'],
        'persons': ['1 in 4 sequences, 2 in 4 sequences'],
        'missing': ['frames: nobody is there in 0 of 124, a stored person is absent in 0 of 188',
                    'joints: 0 of 3760 lie exactly at zero though the person is there'],
        'conversion': ['nothing left out, nothing mended'],
        'duplicates': ['none'],
        'splits': ['xsub: 4 train, 4 test'],
        'columns': ['subject: 0 to 7, 8 values', 'camera: 0 to 3, 4 values'],
        'source': ['made up'], 'licence': ['none'], 'checksum': [report.facts['checksum']]}
    torso, up = re.match(r'm; the median torso is (\S+) long, torsos point along (\S+) with', report.summary[2][11:]
                         ).groups()
    assert float(torso) == pytest.approx(.45, abs=.05) and up == '+y'
    assert str(report).endswith('\n  fine')


def test_what_is_missing_is_counted_by_joint(write):
    sequences = [body(i, 10, 2) for i in range(2)]
    sequences[0][1, 3:5] = 0  # the second person leaves
    sequences[0][0, 4] = 0  # and for a frame the first one as well
    sequences[1][0, :4, 7] = 0  # a hand that was not found
    sequences[1][1, 0, 11] = 0
    found = sections(verify_archive(write(sequences, splits={})))['missing']
    # 40 frames of persons, 37 with the person, of which joint 7 is zero in 4 and joint 11 in 1
    assert found == ['frames: nobody is there in 1 of 20 (5.00%), a stored person is absent in 3 of 40 (7.50%)',
                     'joints: 5 of 740 (0.68%) lie exactly at zero though the person is there: '
                     f'{LAYOUT.joints[7]} 10.8%, {LAYOUT.joints[11]} 2.7%']


def test_what_conversion_left_out_and_mended_is_listed(write):
    path = write([body(0), np.full((1, 5, V, 3), np.nan), body(2)], splits={},
                 notes={2: ['the end was cut off']}, classes=('wave',))
    report = verify_archive(path)
    assert report.ok and sections(report)['conversion'] == [
        'left out 1 at conversion (coordinates that are not finite): take1',
        'mended 1 at conversion (the end was cut off): take2']
    edit_meta(path, notes=None, excluded=None)
    assert sections(verify_archive(path))['conversion'] == ['nothing left out, nothing mended']


def test_the_smallest_and_the_largest_class_are_named(write):
    sequences = [body(i) for i in range(7)]
    text = sections(verify_archive(write(sequences, classes=('wave', 'nod'), splits={})))['classes']
    assert text == ['2, 3 to 4 sequences each; smallest nod, largest wave']


FAULTS = {
    'edited': (lambda p: edit_rows(p, 3, 0, honest=False), 'sha256 differs'),
    'not finite': (lambda p: edit_rows(p, 12, np.inf), 'not finite: take1'),
    'not a number': (lambda p: edit_rows(p, slice(0, 13), np.nan), '2 sequences with .* not finite: take0, take1'),
    'nobody': (lambda p: edit_rows(p, slice(0, 12), 0), 'nobody in any frame: take0'),
    'label': (lambda p: edit_index(p, label=np.array([0, 1, 2, 0, -1, 1, 0, 1])),
              '2 labels are outside 0 to 1: take2, take4'),
    'label type': (lambda p: edit_index(p, label=np.zeros(8)), "'label' is float64, expected integers"),
    'same sequence name': (lambda p: edit_index(p, name=np.array([*'abca', *'defg'])),
                           r'1 sequence names are not unique: a \(2 times\)'),
    'same class name': (lambda p: edit_meta(p, classes=['wave', 'wave']),
                        r'1 class names are not unique: wave \(2 times\)'),
    'split word': (lambda p: edit_index(p, split_xsub=np.array(['val'] * 8)), "holds \\['val'\\]"),
    'split counts': (lambda p: edit_index(p, split_xsub=np.array(['train', 'test', 'test', 'test'] * 2)),
                     "'train': 2.*says .*'train': 4"),
    'empty part': (lambda p: (edit_index(p, split_xsub=np.array(['train'] * 8)),
                              edit_meta(p, splits={'xsub': dict(train=8, test=0)})), 'empty test part'),
    'another split': (lambda p: edit_index(p, split_xset=np.array(['train', 'test'] * 4)),
                      "names the splits \\['xsub'\\]"),
    'gone': (lambda p: (p / 'index.npz').unlink(), 'index.npz is missing'),
    'frame rate': (lambda p: edit_meta(p, fps='fast'), "fps is 'fast', expected a positive number"),
    'notes': (lambda p: edit_meta(p, notes=['cut']), 'notes is list, expected reasons'),
    'names in notes': (lambda p: edit_meta(p, excluded={'cut': [3]}), 'excluded holds names that are no texts'),
    'a copy that is none': (lambda p: edit_index(p, duplicate_of=np.array(['', 'take0', *[''] * 6])),
                            'names 1 copies that differ from their original: take1 = take0'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_faults_are_found(write, fault):
    path = write()
    act, message = FAULTS[fault]
    act(path)
    report = verify_archive(path)
    assert not report.ok and str(report).endswith('NOT usable')
    assert any(re.search(message, problem) for problem in report.problems), report
    assert len(report.problems) == 1, report.problems


def test_an_archive_in_another_order_of_bytes(write):
    path = write()
    np.save(path / 'keypoints.npy', np.asfortranarray(np.load(path / 'keypoints.npy')))
    note_checksum(path, 'keypoints.npy')
    (problem,) = verify_archive(path).problems
    assert 'Fortran order' in problem


DOUBTS = {
    'one frame': (dict(sequences=[body(0), body(1, 1)], splits={}), '1 sequences of one frame: take1'),
    'motionless': (dict(sequences=[body(0), body(1)[:, :1].repeat(5, 1)], splits={}),
                   '1 sequences without motion, all frames are the same: take1'),
    'subject': (dict(subject=[1, 1, 2, 2, 2, 3, 4, 4]), "split 'xsub' has subject 2 in both train and test"),
    'camera': (dict(splits={'xview': ['train', 'test'] * 4}, camera=[1, 2, 1, 3, 3, 2, 1, 2]),
               "split 'xview' has camera 3 in both"),
    'set-up': (dict(splits={'xset': ['train', 'test'] * 4}, setup=[2, 1, 2, 5, 5, 1, 2, 2]),
               "split 'xset' has setup 2, 5 in both"),
    'clean split': (dict(splits={'xsub_clean': ['train', 'test'] * 4}, subject=[1, 1] * 4),
                    "split 'xsub_clean' has subject 1 in both"),
    'unit': (dict(sequences=[body(i) * 100 for i in range(2)], splits={}),
             r"unit 'm' the median torso is 4\d\.?\d* m long, expected 0.2 to 1.0 m"),
    'unit of another name': (dict(sequences=[body(i) for i in range(2)], unit='cm', splits={}),
                             r"unit 'cm' the median torso is 0.004\d+ m long"),
    'z up': (dict(sequences=[body(i)[..., [0, 2, 1]] for i in range(2)], splits={}), r'torsos point along \+z'),
    'empty class': (dict(sequences=[body(0)], splits={}), '1 classes have no sequence: nod'),
}


@pytest.mark.parametrize('doubt', DOUBTS)
def test_doubts_are_warnings_and_nothing_else_is_said(write, doubt):
    arguments, message = DOUBTS[doubt]
    report = verify_archive(write(**arguments))
    assert report.ok and len(report.warnings) == 1, report
    assert re.search(message, report.warnings[0]), report


def test_a_closed_loop_is_no_standstill_and_other_splits_may_mix_subjects(write):
    loop = body(0, 9)
    loop[:, -1] = loop[:, 0]
    report = verify_archive(write([loop, *(body(i) for i in range(1, 4))], subject=[1] * 4,
                                  splits={'random': ['train', 'test'] * 2}))
    assert report.ok and not report.warnings


@pytest.mark.parametrize('unit', ['unknown', 'pixel'])
def test_nothing_is_said_about_the_length_in_a_unit_that_is_none(write, unit):
    report = verify_archive(write([body(i) * 300 for i in range(2)], splits={}, unit=unit))
    assert report.ok and not report.warnings and report.facts['unit']['torso_metres'] is None


def with_copies(write, duplicate_of=None, clean=True):
    """take0 to take3 train; take4 is a copy of take0, take5 of take4 and so of take0; take7 of take6, both test."""
    takes = [body(seed) for seed in (0, 1, 2, 3, 0, 0, 6, 6)]
    splits = dict(xsub=['train'] * 4 + ['test'] * 4)
    if clean:
        splits['xsub_clean'] = ['train'] * 4 + ['', '', 'test', 'test']
    columns = {} if duplicate_of is None else dict(duplicate_of=duplicate_of)
    return write(takes, splits, **columns)


PAIRS = [('take4', 'take0'), ('take5', 'take0')]


def test_copies_across_that_nobody_declares_are_a_problem(write):
    path = with_copies(write)
    report = verify_archive(path)
    assert report.copies == {'xsub': PAIRS}
    (problem,) = report.problems
    assert "split 'xsub': 2 test sequences are exact copies" in problem
    assert 'take4 = take0, take5 = take0' in problem and '--allow-copies' in problem
    assert sections(report)['duplicates'] == [
        '3 sequences equal an earlier one to the last bit',
        'xsub: 0 inside train, 2 inside test, 2 test sequences that are in train',
        'xsub_clean: 0 inside train, 1 inside test, 0 test sequences that are in train']
    allowed = verify_archive(path, allow_copies=True)
    assert allowed.ok and allowed.copies == report.copies and problem in allowed.warnings


@pytest.mark.parametrize('duplicate_of', [
    [''] * 4 + ['take0', 'take4', '', ''], ['take4', '', '', '', '', 'take0', '', ''],
    ['take4', '', '', '', 'take0', 'take0', '', '']], ids=['chain', 'other way round', 'both ways'])
@pytest.mark.parametrize('clean', [True, False])
def test_declared_copies_are_a_warning_that_names_the_clean_split(write, duplicate_of, clean):
    report = verify_archive(with_copies(write, duplicate_of, clean))
    assert report.ok and report.copies == {'xsub': PAIRS}
    (warning,) = [line for line in report.warnings if 'duplicate_of' in line]
    assert f"{'' if clean else 'no '}split 'xsub_clean' leaves them out: take4 = take0, take5 = take0" in warning


def test_a_pair_that_is_not_declared_is_a_problem_beside_one_that_is(write):
    report = verify_archive(with_copies(write, [''] * 4 + ['take0', '', '', '']))
    assert len(report.problems) == 1 and re.search(r'1 test.*: take5 = take0$', report.problems[0])
    assert any(line.endswith('take4 = take0') for line in report.warnings)


def test_a_clean_split_with_copies_is_a_problem_whatever_is_declared(write):
    path = with_copies(write, [''] * 4 + ['take0', 'take0', '', 'take6'])
    edit_index(path, split_xsub_clean=np.array(['train'] * 4 + ['test'] * 4))
    edit_meta(path, splits=dict.fromkeys(['xsub', 'xsub_clean'], dict(train=4, test=4)))
    (problem,) = verify_archive(path).problems
    assert "split 'xsub_clean': 2 test" in problem and 'the name promises' in problem


def test_copies_inside_a_part_and_in_no_split_are_named(write):
    report = verify_archive(write([body(seed) for seed in (0, 0, 2, 2)], {'xsub': ['train', 'train', 'test', 'test']}))
    assert report.ok and [line.split(': ', 1)[1] for line in report.warnings] == [
        '1 train sequences are exact copies of other train sequences: take1 = take0',
        '1 test sequences are exact copies of other test sequences: take3 = take2']


def test_copies_without_splits(write):
    report = verify_archive(write([body(seed) for seed in (0, 1, 0)], {}))
    assert report.ok and report.warnings == ['1 sequences are exact copies of earlier ones: take2 = take0']


def test_originals_that_were_left_out_are_no_fault(write):
    assert verify_archive(write(duplicate_of=['gone', *[''] * 7])).ok


def test_the_same_numbers_in_another_shape_are_no_copy(write):
    take = body(0, 8)
    path = write([take, take.reshape(2, 4, V, 3)], {'xsub': ['train', 'test']})
    assert not verify_archive(path).copies


def test_one_bit_makes_a_difference(write):
    take = body(0)
    other = take.copy()
    other[0, 3, 2, 1] = np.nextafter(other[0, 3, 2, 1], np.float32(9))
    assert not verify_archive(write([take, other], {'xsub': ['train', 'test']})).copies


def test_all_sequences_pass_by_once_and_in_order(write):
    seen = []

    def track(positions):
        for i in positions:
            seen.append(i)
            yield i

    verify_archive(write(), track=track)
    assert seen == list(range(8))


def test_the_report_as_a_file(write, tool, tmp_path, capsys):
    path, file = with_copies(write), tmp_path / 'new' / 'report.json'
    assert tool('verify', path, '--json', file) == 1
    found = json.loads(file.read_text())
    assert found['ok'] is False and found['copies'] == {'xsub': [list(pair) for pair in PAIRS]}
    assert found['problems'] == verify_archive(path).problems and found['path'] == str(path)
    assert found['facts']['classes']['sizes'] == {'wave': 4, 'nod': 4}
    assert [entry.name for entry in file.parent.iterdir()] == ['report.json']
    assert tool('verify', path, '--json', file, '--allow-copies') == 0
    assert json.loads(file.read_text())['ok'] is True
    capsys.readouterr()
    assert tool('verify', path, '--allow-copies', '--json', path / 'meta.json' / 'report.json') == 1
    error = capsys.readouterr().err
    assert error.startswith('error: --json') and 'cannot be written' in error and error.count('\n') == 1


def test_the_defect_of_northwestern_ucla_is_named_in_full(real_data_dir, tool, tmp_path, capsys):
    source = real_data_dir / 'nw_ucla.npz'
    if not source.is_file():
        pytest.skip(f'no real data: {source} does not exist')
    path = FlatConverter().convert(source, tmp_path / 'a').path
    with np.load(source) as stored:
        names, copied, split = (stored[key] for key in ('name', 'duplicate_of', 'split_xview'))
    expected = {(str(names[i]), str(names[copied[i]])) for i in np.flatnonzero(copied >= 0) if split[i] == 'test'}
    assert tool('verify', path, '--copies') == 0
    out = capsys.readouterr().out
    listed = [tuple(line.split('\t')[1:]) for line in out.splitlines() if line.startswith('xview\t')]
    assert len(listed) == 95 and set(listed) == expected
    assert "split 'xview_clean' leaves them out" in out and '1020 train, 369 test, 95 in neither' in out
