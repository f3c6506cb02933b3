"""Archives from archives: nothing is lost on the way, parts are what was asked for, groups stay together."""
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from mmactclr.datasets import (
    ArchiveWriter,
    SkeletonArchive,
    SkeletonDataset,
    draw_label_subset,
    verify_archive,
    write_label_subset,
)
from mmactclr.datasets.editing import (
    add_splits,
    fold_splits,
    merge_archives,
    random_split,
    remap_archive,
    select_sequences,
    split_by_column,
    split_from_file,
    subset_archive,
)
from mmactclr.errors import ConfigError, DataError

from .conftest import LAYOUT, motion


@pytest.fixture
def write(tmp_path):
    """An archive of 60 short sequences: 3 classes, 6 subjects, gaps, notes, every third with two persons."""

    def make(name: str = 'a', seed: int = 0, classes=('wave', 'nod', 'bow'), split: str = 'xsub', fps: float = 30,
             unit: str = 'm', layout=LAYOUT, **columns) -> SkeletonArchive:
        with ArchiveWriter(tmp_path / name, layout, classes=classes, fps=fps, unit=unit, source=f'source of {name}',
                           licence='none', extra=dict(kept=name)) as writer:
            for i in range(60):
                keypoint = motion(3 + i % 7, 1 + (i % 3 == 2), seed + i, layout.num_joints)
                keypoint[-1, 1] = 0
                writer.add(keypoint, label=i % len(classes) if classes else -1, name=f'take{i}', subject=i // 10,
                           mood=['good', 'bad'][i % 2], notes=['mended'] if i == 4 else [], **columns)
            return writer.finish({split: np.where(np.arange(60) // 10 < 4, 'train', 'test')})

    return make


@pytest.fixture(scope='module')
def tool(repo_root):
    spec = importlib.util.spec_from_file_location('archive_tool', repo_root / 'tools/dataset_converters/archive.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments) -> int:
        from mmactclr.utils.cli import report_errors
        try:
            with report_errors():
                module.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    return run


def same(new: SkeletonArchive, i: int, old: SkeletonArchive, j: int) -> bool:
    return (np.array_equal(new.sequence(i), old.sequence(j)) and new.column('subject')[i] == old.column('subject')[j]
            and new.classes[new.labels[i]] == old.classes[old.labels[j]])


def test_a_subset_is_what_was_asked_for(write, tmp_path):
    old = write()
    chosen = select_sequences(old, where=['subject>=2', 'mood=good'], split='xsub:train', classes=['wave', 'bow'])
    expected = [i for i in range(60) if 2 <= i // 10 < 4 and i % 2 == 0 and i % 3 != 1]
    assert chosen.tolist() == expected
    new = subset_archive(old.path, tmp_path / 'b', chosen)
    assert all(same(new, i, old, j) for i, j in enumerate(expected)) and new.classes == old.classes
    assert new.split_names == () and new.meta['extra']['kept'] == 'a' and new.meta['fps'] == 30
    fewer = subset_archive(old.path, tmp_path / 'c', chosen, drop_classes=True)
    assert fewer.classes == ('wave', 'bow') and all(same(fewer, i, old, j) for i, j in enumerate(expected))
    assert verify_archive(tmp_path / 'c').ok


def test_a_subset_keeps_splits_and_notes(write, tmp_path):
    old = write()
    new = subset_archive(old.path, tmp_path / 'b', np.array([4, 59]))
    assert new.split('xsub', 'train').tolist() == [0] and new.meta['notes'] == {'mended': ['take4']}


def test_some_of_every_class_at_random(write):
    old = write()
    chosen = select_sequences(old, max_per_class=5, seed=1)
    assert np.bincount(old.labels[chosen]).tolist() == [5, 5, 5]
    assert not np.array_equal(chosen, select_sequences(old, max_per_class=5, seed=2))


@pytest.mark.parametrize(('options', 'message'), [
    (dict(where=['age=3']), 'expected COLUMN=VALUE'), (dict(where=['mood<good']), 'compared with = and != alone'),
    (dict(where=['subject=anna']), 'holds numbers'), (dict(where=['subject=77']), 'no sequence'),
    (dict(classes=['jump']), "no class \\['jump'\\]"), (dict(names=['take1', 'x']), '1 of 2 names not'),
    (dict(split='xview'), 'has no split'), (dict(split='xsub:val'), "part 'val'"),
    (dict(max_per_class=0), '1 or more')])
def test_what_is_not_there_is_named(write, options, message):
    with pytest.raises(ConfigError, match=message):
        select_sequences(write(), **options)


def test_a_merge_loses_nothing(write, tmp_path):
    first, second = write('one'), write('two', 100, ('bow', 'jump'), 'xview', age=7)
    new = merge_archives([first.path, second.path], tmp_path / 'both')
    assert new.classes == ('wave', 'nod', 'bow', 'jump') and len(new) == 120
    for i in range(60):
        assert same(new, i, first, i) and same(new, 60 + i, second, i)
    assert new.column('name')[0] == 'one/take0' and new.column('name')[60] == 'two/take0'
    assert new.column('source_archive').tolist() == ['one'] * 60 + ['two'] * 60
    assert new.column('age').tolist() == [-1] * 60 + [7] * 60
    assert np.array_equal(new.split('xsub', 'test'), first.split('xsub', 'test'))
    assert np.array_equal(new.split('xview', 'train'), 60 + second.split('xview', 'train'))
    assert new.meta['notes'] == {'mended': ['one/take4', 'two/take4']} and verify_archive(new.path).ok


def test_a_merge_of_unlabelled_archives_and_of_other_rates(write, tmp_path):
    first, second = write('one'), write('two', 100, (), fps=60)
    new = merge_archives([first.path, second.path], tmp_path / 'both')
    assert new.classes == () and new.column('class')[1] == 'nod' and new.column('class')[61] == ''
    assert new.meta['fps'] is None and new.column('fps').tolist() == [30.] * 60 + [60.] * 60


def test_the_originals_of_copies_keep_their_names(write, tmp_path):
    first, second = write('one', duplicate_of='take3'), write('two', 100)
    new = merge_archives([first.path, second.path], tmp_path / 'both')
    assert set(new.column('duplicate_of').tolist()) == {'one/take3', ''}


@pytest.mark.parametrize(('other', 'message'), [
    (dict(unit='cm'), "unit 'm'.*'cm'.*remap"), (dict(layout='uiprmd22'), 'remap one of them first'),
    (dict(age='old'), 'text in one archive and numbers')])
def test_what_does_not_go_together(write, tmp_path, other, message):
    if 'layout' in other:
        from mmactclr.structures import get_layout
        other = dict(layout=get_layout(other['layout']))
    first, second = write('one', age=3), write('two', 100, **{'age': 4, **other})
    with pytest.raises(ConfigError, match=message):
        merge_archives([first.path, second.path], tmp_path / 'both')
    assert not (tmp_path / 'both').exists()


def test_remapping_writes_what_the_dataset_does_on_the_fly(write, tmp_path):
    old = write()
    new = remap_archive(old.path, tmp_path / 'b', 'ntu25', up='-z', metres_per_unit=.01)
    fly = SkeletonDataset(old.path, layout='ntu25', remap=True, up='-z', metres_per_unit=.01, num_frames=9)
    stored = SkeletonDataset(new.path, layout='ntu25', num_frames=9)
    assert np.array_equal(fly.prepared, stored.prepared) and np.array_equal(fly.labels, stored.labels)
    assert new.layout.name == 'ntu25' and new.meta['unit'] == 'm' and new.classes == old.classes


def test_splits_by_column(write, tmp_path):
    old = write()
    split = split_by_column(old, 'subject', test=['1', '5'])
    assert np.array_equal(split == 'test', np.isin(old.column('subject'), [1, 5])) and (split != '').all()
    split = split_by_column(old, 'mood', train=['good'], test=['bad'])
    assert (split == 'train').sum() == 30
    split = split_by_column(old, 'subject', train=['0'], test=['1'])
    assert (split == '').sum() == 40
    new = add_splits(old.path, tmp_path / 'b', {'mine': split})
    assert new.split_names == ('xsub', 'mine') and all(same(new, i, old, i) for i in range(60))
    with pytest.raises(ConfigError, match='no value 9'):
        split_by_column(old, 'subject', train=['9'])
    with pytest.raises(ConfigError, match='cannot be in both'):
        split_by_column(old, 'subject', train=['1', '2'], test=['2'])


@pytest.mark.parametrize('group', [None, 'subject'])
@pytest.mark.parametrize('seed', range(4))
def test_random_splits(write, group, seed):
    old = write()
    split = random_split(old, .3, seed, group)
    test = split == 'test'
    for label in range(3):
        assert abs(test[old.labels == label].mean() - .3) < (.11 if group else .01)
    if group:
        subjects = old.column('subject')
        assert not set(subjects[test]) & set(subjects[~test])
    assert np.array_equal(split, random_split(old, .3, seed, group))


@pytest.mark.parametrize(('folds', 'group'), [(5, None), (2, None), (6, 'subject'), (3, 'subject'), (60, None)])
def test_folds_test_every_sequence_once(write, folds, group):
    old = write()
    splits = fold_splits(old, folds, 3, group)
    assert len(splits) == folds
    times = sum((split == 'test').astype(int) for split in splits)
    assert (times == 1).all()
    sizes = [(split == 'test').sum() for split in splits]
    assert max(sizes) - min(sizes) <= (10 if group else 1)
    if group:
        subjects = old.column('subject')
        assert all(not set(subjects[split == 'test']) & set(subjects[split == 'train']) for split in splits)
    else:
        classes = [np.bincount(old.labels[split == 'test'], minlength=3) for split in splits]
        assert (np.ptp(classes, axis=0) <= 1).all()


@pytest.mark.parametrize(('folds', 'group'), [(1, None), (61, None), (7, 'subject')])
def test_impossible_folds(write, folds, group):
    with pytest.raises(ConfigError, match='expected from 2 to'):
        fold_splits(write(), folds, 0, group)


def test_splits_from_a_file(write, tmp_path):
    old, file = write(), tmp_path / 'split.txt'
    file.write_text('Train:\n take3 \ntake1\n\ntest\r\ntake0\n')
    split = split_from_file(old, file)
    assert np.flatnonzero(split == 'train').tolist() == [1, 3] and np.flatnonzero(split == 'test').tolist() == [0]
    for text, message in (('take1\n', 'line 1.*expected a line "train"'),
                          ('train\nx\ntest\ntake1', "line 2.*no sequence 'x'"),
                          ('train\ntake1\ntest\ntake1\n', 'line 4.*both'), ('train\ntake1\n', '0 test')):
        file.write_text(text)
        with pytest.raises((DataError, ConfigError), match=message):
            split_from_file(old, file)


@pytest.mark.parametrize('fraction', [.001, .1, .25, .5, 1.])
def test_label_subsets_are_shares_of_every_class(write, fraction):
    old = write()
    positions = draw_label_subset(old, 'xsub', fraction=fraction, seed=2)
    training = old.split('xsub', 'train')
    assert set(positions) <= set(training)
    sizes, found = np.bincount(old.labels[training]), np.bincount(old.labels[positions], minlength=3)
    assert found.tolist() == [max(round(fraction * n), 1) for n in sizes]
    assert np.array_equal(positions, draw_label_subset(old, 'xsub', fraction=fraction, seed=2))
    assert fraction > .5 or not np.array_equal(positions, draw_label_subset(old, 'xsub', fraction=fraction, seed=3))


def test_larger_subsets_contain_smaller_ones(write):
    old = write()
    subsets = [set(draw_label_subset(old, 'xsub', per_class=n)) for n in (1, 2, 5, 100)]
    assert subsets[0] < subsets[1] < subsets[2] < subsets[3] == set(old.split('xsub', 'train'))


def test_the_dataset_trains_on_the_subset_and_tests_on_everything(write, tool, tmp_path):
    old = write()
    assert tool('label-subset', old.path, tmp_path / 'l.json', '--split', 'xsub', '--per-class', 2, '--seed', 4) == 0
    content = json.loads((tmp_path / 'l.json').read_text())
    assert (content['split'], content['per_class'], content['seed'], content['archive']) == ('xsub', 2, 4, old.checksum)
    positions = draw_label_subset(old, 'xsub', per_class=2, seed=4)
    assert content['names'] == old.column('name')[positions].tolist()
    given = dict(data_root=old.path, label_subset=tmp_path / 'l.json', num_frames=5)
    assert SkeletonDataset(**given).index.tolist() == positions.tolist()
    both = SkeletonDataset(**given, subset='both')
    assert both.index.tolist() == [*positions, *old.split('xsub', 'test')]
    assert len(SkeletonDataset(**given, subset='test')) == 20


@pytest.mark.parametrize(('change', 'message'), [
    (lambda c: {**c, 'names': ['take1', 'stranger']}, "1 of 2 sequences are not in .*'stranger'"),
    (lambda c: {**c, 'format': 'other'}, 'is no label subset'), (lambda c: {**c, 'names': []}, 'is no label subset'),
    (lambda c: [1], 'is no label subset'), (lambda c: {**c, 'names': ['take59']}, 'none of its sequences trains')])
def test_damaged_label_subsets(write, tool, tmp_path, change, message):
    old = write()
    tool('label-subset', old.path, tmp_path / 'l.json', '--split', 'xsub', '--fraction', .1)
    (tmp_path / 'l.json').write_text(json.dumps(change(json.loads((tmp_path / 'l.json').read_text()))))
    with pytest.raises(DataError, match=message):
        SkeletonDataset(old.path, label_subset=tmp_path / 'l.json')


def test_a_subset_of_another_archive_and_of_test_sequences_is_used_with_a_warning(write, tool, tmp_path, monkeypatch):
    said = []
    for module in ('label_subset', 'skeleton_dataset'):
        monkeypatch.setattr(f'mmactclr.datasets.{module}.print_log', lambda text, **_: said.append(text))
    old, other = write('one'), write('two', 100)
    assert old.checksum != other.checksum
    tool('label-subset', old.path, tmp_path / 'l.json', '--split', 'xsub', '--per-class', 1)
    SkeletonDataset(old.path, label_subset=tmp_path / 'l.json', num_frames=5)
    assert not said
    chosen = SkeletonDataset(other.path, label_subset=tmp_path / 'l.json', num_frames=5)
    assert len(said) == 1 and 'made for an archive of other content' in said[0] and len(chosen)
    said.clear()
    content = json.loads((tmp_path / 'l.json').read_text())
    tested = old.column('name')[old.split('xsub', 'test')][:2].tolist()
    (tmp_path / 'l.json').write_text(json.dumps({**content, 'names': content['names'] + tested}))
    found = SkeletonDataset(old.path, label_subset=tmp_path / 'l.json', num_frames=5)
    assert len(found) == len(content['names'])
    assert len(said) == 1 and f'2 of {len(found) + 2} sequences of the label subset' in said[0]


@pytest.mark.parametrize('wrong', [
    dict(per_class=2.5), dict(per_class=0), dict(fraction=0.), dict(per_class=2, fraction=.1)])
def test_wrong_shares_are_named(write, wrong):
    with pytest.raises(ConfigError, match='fraction'):
        draw_label_subset(write(), 'xsub', **wrong)


def test_the_command_line(write, tool, tmp_path, capsys):
    old, again = write('one').path, write('two', 100).path
    assert tool('merge', old, again, tmp_path / 'both') == 0
    assert tool('subset', tmp_path / 'both', tmp_path / 'part', '--where', 'source_archive=two') == 0
    folds = ('--name', 'loso', '--folds', 6, '--group', 'subject')
    assert tool('split', tmp_path / 'part', tmp_path / 'split', *folds) == 0
    assert tool('remap', tmp_path / 'split', tmp_path / 'ntu', '--layout', 'ntu25', '--up', '+y') == 0
    archive = SkeletonArchive.open(tmp_path / 'ntu')
    assert len(archive) == 60 and archive.split_names == ('xsub', *(f'loso_{k}' for k in range(6)))
    assert verify_archive(tmp_path / 'ntu').ok
    capsys.readouterr()
    (tmp_path / 'names.txt').write_text('one/take7\n')
    assert tool('subset', tmp_path / 'both', tmp_path / 'named', '--names', tmp_path / 'names.txt') == 0
    assert SkeletonArchive.open(tmp_path / 'named').column('name').tolist() == ['one/take7']
    for arguments, message in (
            (('merge', old, tmp_path / 'x'), 'two or more'), (('subset', old, tmp_path / 'part'), '--overwrite'),
            (('split', old, tmp_path / 'x', '--name', 'n', '--random', .3, '--train', 1), '--column'),
            (('split', old, tmp_path / 'x', '--name', 'n', '--column', 'subject', '--group', 'subject'), '--group'),
            (('remap', old, tmp_path / 'x', '--layout', 'robot'), 'robot'),
            (('label-subset', old, tmp_path / 'x', '--split', 'xsub'), 'one of the two'),
            (('subset', Path('nowhere'), tmp_path / 'x'), 'no skeleton archive')):
        assert tool(*arguments) == 1
        said = capsys.readouterr().err
        assert message in said and said.count('\n') == 1
    assert not (tmp_path / 'x').exists()


def test_a_merge_of_a_merge_keeps_what_the_first_one_noted(write, tmp_path):
    one, two, three = write('one'), write('two', 100, fps=60), write('three', 200, ('wave',))
    first = merge_archives([one.path, two.path], tmp_path / 'first')
    again = merge_archives([first.path, three.path], tmp_path / 'again')
    assert again.column('fps').tolist() == [30.] * 60 + [60.] * 60 + [30.] * 60
    assert again.column('source_archive').tolist() == ['one'] * 60 + ['two'] * 60 + ['three'] * 60
    bare = write('bare', 300, ())
    mixed = merge_archives([one.path, bare.path], tmp_path / 'mixed')
    again = merge_archives([mixed.path, three.path], tmp_path / 'mixed_again')
    assert again.column('class').tolist()[:2] == ['wave', 'nod'] and again.column('class')[60] == ''
    assert again.column('class')[120] == 'wave'


def test_names_that_stand_for_several_sequences_make_no_lists(tmp_path):
    with ArchiveWriter(tmp_path / 'a', LAYOUT, classes=['x']) as writer:
        for i in range(4):
            writer.add(motion(3, seed=i), label=0, name='same')
        archive = writer.finish({'xsub': ['train', 'train', 'train', 'test']})
    with pytest.raises(DataError, match="'same' stands for several"):
        write_label_subset(tmp_path / 'l.json', archive, np.array([0]))
    (tmp_path / 'split.txt').write_text('train\nsame\n')
    with pytest.raises(DataError, match='stands for several'):
        split_from_file(archive, tmp_path / 'split.txt')
