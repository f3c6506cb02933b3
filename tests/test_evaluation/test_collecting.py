"""One table of many runs, from files written by hand."""
import json
import statistics

import pytest

from mmactclr.errors import DataError
from mmactclr.evaluation import as_markdown, as_records, choose_metrics, over_seeds, read_results


def write(folder, mode='test', metrics=None, seed=0, recipe='abc', outcomes=None, **more):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / 'metrics.json'
    content = json.loads(file.read_text()) if file.exists() else {}
    content[mode] = dict(
        epoch=3, seed=seed, metrics=metrics or {'knn/backbone_k20': 50.}, data=dict(split='xsub', checksum='d'),
        config=dict(name='some', hash=recipe), checkpoint=dict(name='a.pth', sha256='c'), protocol=[],
        outcomes=outcomes or {}, **more)
    file.write_text(json.dumps(content))


def test_every_run_below_is_found_and_the_test_counts(tmp_path):
    write(tmp_path / 'b' / 'deep', 'val', {'knn/backbone_k20': 1.})
    write(tmp_path / 'a', 'val', {'knn/backbone_k20': 2.})
    write(tmp_path / 'a', 'test', {'knn/backbone_k20': 3.})
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'metrics.json').write_text('{"rows": {}}')
    found = read_results([tmp_path])
    assert [(result.run, result.metrics) for result in found] == [
        ('a', {'knn/backbone_k20': 3.}), ('b/deep', {'knn/backbone_k20': 1.})]
    assert [result.run for result in read_results([tmp_path / 'a'])] == ['a']


def test_baselines_are_runs_of_their_own_where_asked_for(tmp_path):
    write(tmp_path / 'a', metrics={'knn/backbone_k20': 3., 'raw/knn/backbone_k20': 2.})
    assert [result.run for result in read_results([tmp_path])] == ['a']
    found = read_results([tmp_path], baselines=True)
    assert {result.run: dict(result.metrics) for result in found} == {
        'a': {'knn/backbone_k20': 3.}, 'a/raw': {'knn/backbone_k20': 2.}}
    assert [result.checkpoint for result in found] == ['a.pth', None]


def test_runs_of_one_recipe_are_averaged_over_seeds(tmp_path):
    values = [50., 53., 59.]
    for seed, value in enumerate(values):
        write(tmp_path / f's{seed}', metrics={'linear/backbone_top1': value}, seed=seed)
    write(tmp_path / 'other', metrics={'linear/backbone_top1': 10.}, recipe='xyz')
    write(tmp_path / 'old', metrics={'linear/backbone_top1': 11.}, recipe=None)
    write(tmp_path / 'older', metrics={'linear/backbone_top1': 12.}, recipe=None)
    found = {result.run: result for result in over_seeds(read_results([tmp_path]))}
    assert set(found) == {'old', 'older', 'other', 's0 and 2 more'}
    mean = found['s0 and 2 more']
    assert mean.seeds == (0, 1, 2) and mean.metrics['linear/backbone_top1'] == pytest.approx(54.)
    assert mean.spread['linear/backbone_top1'] == pytest.approx(statistics.stdev(values))
    assert '54.0 ± 4.6' in as_markdown([mean])


def test_metrics_are_chosen_by_pattern(tmp_path):
    outcomes = {'knn/backbone_k20': dict(mean_class_accuracy=40., calibration_error=.1, class_accuracy={})}
    write(tmp_path / 'a', metrics={'knn/backbone_k20': 50., 'knn/joint.backbone_k20': 1., 'knn/backbone_k20_equal': 2.,
                                   'fewshot/backbone_1shot_ci95': 3.}, outcomes=outcomes)
    results = read_results([tmp_path])
    assert list(choose_metrics(results)[0].metrics) == ['knn/backbone_k20']
    assert choose_metrics(results, ['*_calibration', '*_mean_class'])[0].metrics == {
        'knn/backbone_k20_mean_class': 40., 'knn/backbone_k20_calibration': 10.}
    with pytest.raises(DataError, match=r'no metric matches linear/\*; there are .*knn/backbone_k20'):
        choose_metrics(results, ['linear/*'])


def test_runs_with_other_metrics_have_tables_of_their_own_or_dashes(tmp_path):
    write(tmp_path / 'a', metrics={'knn/backbone_k20': 50.})
    write(tmp_path / 'b', metrics={'linear/backbone_top1': 60.})
    results = read_results([tmp_path])
    assert as_markdown(results) == (
        '| run | split | checkpoint | epoch | seeds | knn/backbone_k20 |\n| --- | --- | --- | --- | --- | --- |\n'
        '| a | xsub | a.pth | 3 | 0 | 50.0 |\n\n'
        '| run | split | checkpoint | epoch | seeds | linear/backbone_top1 |\n| --- | --- | --- | --- | --- | --- |\n'
        '| b | xsub | a.pth | 3 | 0 | 60.0 |')
    assert as_markdown(results, single=True).splitlines()[2:] == [
        '| a | xsub | a.pth | 3 | 0 | 50.0 | - |', '| b | xsub | a.pth | 3 | 0 | - | 60.0 |']
    header, rows = as_records(results)
    assert header[-3:] == ['metric', 'value', 'std'] and rows[1][-3:] == ['linear/backbone_top1', '60.0000', '']


@pytest.mark.parametrize(('content', 'message'), [
    ('{', 'JSONDecodeError'), ('[]', 'no metrics.json below'), ('{"test": {}}', "KeyError: 'metrics'"),
    ('{"test": {"metrics": {"a": 1}}}', 'ValueError'), ('{"test": 3}', 'is not what a run writes')])
def test_files_of_another_kind_are_named(tmp_path, content, message):
    (tmp_path / 'metrics.json').write_text(content)
    with pytest.raises(DataError, match=message):
        read_results([tmp_path])


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(DataError, match='nowhere is not a folder'):
        read_results([tmp_path / 'nowhere'])
    with pytest.raises(DataError, match=r'no metrics\.json below'):
        read_results([tmp_path])


def test_a_file_is_read_once_and_a_seed_counts_once(tmp_path):
    for name, seed, value in (('a', 0, 50.), ('b', 1, 52.), ('copy', 0, 50.)):
        write(tmp_path / name, metrics={'knn/backbone_k20': value}, seed=seed)
    results = read_results([tmp_path, tmp_path / 'a'])
    assert [result.run for result in results] == ['a', 'b', 'copy']
    assert {result.run: result.seeds for result in over_seeds(results)} == {'a and 1 more': (0, 1), 'copy': (0,)}


def test_what_is_undefined_is_left_out(tmp_path):
    write(tmp_path, metrics={'retrieval/backbone_r1': 0., 'retrieval/backbone_map': None})
    assert read_results([tmp_path])[0].metrics == {'retrieval/backbone_r1': 0.}
