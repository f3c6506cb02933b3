"""Grids of runs: which are done, what a config gets, how differences are counted; tables are those of the lines."""
import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mmactclr.datasets import SkeletonArchive
from mmactclr.errors import ConfigError, DataError
from mmactclr.evaluation import KNNEvaluator
from mmactclr.evaluation.features import FeatureMetric
from mmactclr.utils import load_config

BENCHMARKS = Path(__file__).resolve().parents[2] / 'benchmarks'


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    """The scripts import one another by name."""
    monkeypatch.setattr(sys, 'path', [str(BENCHMARKS), *sys.path])


@pytest.fixture
def grid():
    import grid
    return grid


@pytest.fixture
def driven(grid, tmp_path, monkeypatch):
    """A grid whose runs take no time; what it ran."""
    args = argparse.Namespace(jobs=2, hours=1., out=tmp_path / 'runs', results=tmp_path / 'lines.jsonl')
    ran = []

    def train(run, folder, load_from):
        ran.append((run.variant, run.seed))
        if run.variant == 'broken':
            raise RuntimeError('the training failed')
        (folder / f'epoch_{run.epochs}.pth').write_text('')
        return dict(seconds=1., load_from=load_from and load_from.name)

    monkeypatch.setattr(grid, 'train', train)
    monkeypatch.setattr(grid, 'measure', lambda checkpoint, folder, run: {'utd_mhad': {'encoder': {'knn': 50.}}})
    return grid.Grid(args), args, ran


def test_a_run_with_its_line_is_not_run_again(grid, driven, capsys):
    maker, args, ran = driven
    first = grid.Run('a', 'moco_joint_pool_xsub', 2, changes=dict(model=dict(cells=(3, 5))))
    second = grid.Run('b', 'moco_joint_pool_xsub', 3, start=first)
    assert maker.drive([first]) and maker.drive([first, second])
    assert ran == [('a', 0), ('b', 0)] and f'1 of 2 are measured: {args.results}' in capsys.readouterr().out
    lines = grid.read_lines(args.results)
    assert [line['load_from'] for line in lines] == [None, 'epoch_2.pth']
    # another recipe is another run
    other = grid.Run('a', 'moco_joint_pool_xsub', 2, changes=dict(model=dict(cells=(2, 3))))
    assert not grid.is_done(other, lines) and grid.is_done(first, lines)


def test_a_failed_run_has_no_line_and_stops_no_other(grid, driven, capsys):
    maker, args, ran = driven
    runs = [grid.Run(name, 'moco_joint_pool_xsub', 2) for name in ('broken', 'a')]
    assert not maker.drive(runs)
    assert {line['variant'] for line in grid.read_lines(args.results)} == {'a'}
    assert 'broken, 2 epochs, seed 0: failed: the training failed' in capsys.readouterr().out
    args.hours = 0
    assert not maker.drive(runs) and 'goes on from here' in capsys.readouterr().out


def test_a_long_job_says_that_it_goes_on(grid, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grid, 'HEARTBEAT', .2)
    line = 'mmengine - INFO - Epoch(train)  [2][ 50/173]  lr: 1e-2  eta: 0:01:23  time: 0.1'
    said = f'import time; print({line!r}, flush=True); time.sleep(1)'
    assert grid.call(['-c', said], tmp_path / 'log')
    assert re.search(r'log: \d+ s, Epoch\(train\)  \[2\]\[ 50/173\], eta: 0:01:23\n', capsys.readouterr().out)
    monkeypatch.setattr(grid, 'HEARTBEAT', 600)
    assert grid.call(['-c', 'import sys; sys.exit(3)'], tmp_path / 'log') is None
    assert not capsys.readouterr().out


def test_why_a_tool_failed_is_said(grid, tmp_path):
    log = tmp_path / 'train.log'
    log.write_text("mmengine - INFO - x\nerror: old\nerror: there is no archive at 'data/x'\nmeasured 1 2\n")
    assert grid.reason(log) == f": there is no archive at 'data/x' (see {log})"
    log.write_text('killed\n')
    assert grid.reason(log) == f', see {log}'


def test_the_config_of_a_run_is_that_of_its_name_with_the_changes(grid, tmp_path):
    changes = dict(model=dict(stage_epochs=(5, 2)), optim_wrapper=dict(optimizer=dict(lr=.02)))
    run = grid.Run('x', 'actclr_joint_pool_xsub', 7, changes=changes, seed=4)
    run.write_config(tmp_path / 'config.py', tmp_path / 'before.pth')
    found, plain = load_config(tmp_path / 'config.py'), load_config('actclr_joint_pool_xsub')
    assert (found.train_cfg.max_epochs, found.param_scheduler.T_max, found.randomness.seed) == (7, 7, 4)
    assert found.model.stage_epochs == (5, 2) and found.optim_wrapper.optimizer.lr == .02
    assert found.load_from == str(tmp_path / 'before.pth')
    assert found.model.backbone == plain.model.backbone and found.train_dataloader == plain.train_dataloader


def test_every_run_of_the_grids_has_a_config_that_loads(tmp_path):
    import ablation
    import pool_methods
    args = argparse.Namespace(seeds=[0, 1], variants=[ablation.CONTROL, *ablation.PARTS], views='paper', lr=.02,
                              encoder=Path('some.pth'))
    warm, runs = ablation.runs_of(args)
    # one warm-up of a seed for each size of the memory
    assert len(warm) == 2 * 4 and len(runs) == 2 * (len(ablation.PARTS) + 2)
    runs += warm + [pool_methods.run_of(method, 0, 5, 'steps') for method in pool_methods.METHODS]
    for run in runs:
        run.write_config(tmp_path / 'config.py', None)


def test_paired_differences_are_those_of_a_paired_t_test(grid):
    rng = np.random.default_rng(0)
    a, b = rng.normal(60, 3, 5), rng.normal(58, 3, 5)
    mean, half = grid.paired(dict(enumerate(a)), {**dict(enumerate(b)), 9: 0.})
    interval = stats.ttest_rel(a, b).confidence_interval()
    np.testing.assert_allclose([mean - half, mean + half], [interval.low, interval.high], rtol=1e-3)
    assert np.isnan(grid.paired({0: 1.}, {0: 2.})[1])


@pytest.mark.parametrize('freedom', [1, 2, 9, 10, 11, 30, 200])
def test_intervals_are_those_of_student(grid, freedom):
    assert grid.student(freedom) == pytest.approx(stats.t.ppf(.975, freedom), rel=1e-3)


def test_what_a_grid_cannot_read_or_do_is_said(grid, tmp_path):
    (tmp_path / 'lines.jsonl').write_text('{"a": 1}\n{"a":\n')
    with pytest.raises(DataError, match=r'lines.jsonl, line 2: no JSON .*take the line out'):
        grid.read_lines(tmp_path / 'lines.jsonl')
    with pytest.raises(DataError, match=r'none.jsonl has no lines: nothing was measured yet'):
        grid.some_lines(tmp_path / 'none.jsonl')
    for word in ('0', '-1', 'x', '1.5'):
        with pytest.raises(argparse.ArgumentTypeError, match='expected a number from 1 up'):
            grid.positive(word)
    assert grid.positive('2') == 2 and grid.signed(-.04) == '+0.0' and grid.signed(-.06) == '-0.1'


def line_of(variant, seed, knn, budget='steps'):
    sets = {name: {'encoder': dict(knn=knn + i, linear=70.)}
            for i, name in enumerate(('utd_mhad', 'ui_prmd', 'nw_ucla', 'nw_ucla_clean'))}
    return dict(variant=variant, seed=seed, budget=budget, epochs=5, seconds=100., sets=sets)


def test_a_table_has_means_and_differences_from_the_control(grid):
    lines = [line_of('MoCo', 0, 50.), line_of('MoCo', 1, 52.), line_of('ActCLR', 0, 55.), line_of('ActCLR', 1, 59.)]
    rows = grid.sets_table(lines, [('MoCo', 'steps'), ('absent', 'steps'), ('ActCLR', 'steps')], ('MoCo', 'steps'))
    moco, actclr = (dict(zip(rows.splitlines()[0].split(' | '), row.split(' | '), strict=True))
                    for row in rows.splitlines()[2:])
    assert moco['UTD-MHAD'] == '51.0 / 70.0' and moco['NW-UCLA, 369'] == '54.0 / 70.0'
    # over UTD-MHAD, UI-PRMD and the clean test part: 51, 52, 54
    assert moco['mean of sets'] == '52.3 / 70.0' and not moco['kNN against control']
    assert actclr['kNN against control'].startswith('+6.0 ± 12.7')


def test_baselines_stand_above_what_was_measured_with_them(grid):
    lines = [line_of('MoCo', 0, 50.), line_of('MoCo', 1, 52.), line_of('3s', 0, 60.)]
    for line in lines[:2]:
        for found in line['sets'].values():
            found.update({name: dict(knn=10. + line['seed'], linear=20.) for name in grid.BASELINE_TITLES})
    rows = [row.split(' | ') for row in grid.sets_table(lines, [('MoCo', 'steps'), ('3s', 'steps')],
                                                        ('MoCo', 'steps')).splitlines()[2:]]
    assert [row[0] for row in rows] == ['| raw coordinates', '| mean joint velocity', '| untrained encoder of MoCo',
                                        '| MoCo', '| 3s']
    # the draw of weights is averaged, and nothing else depends on it
    assert [row[1] for row in rows[:3]] == ['10.0 / 20.0', '10.0 / 20.0', '10.5 / 20.0']


def test_epochs_for_the_same_seconds_are_fixed_by_the_first_run():
    import pool_methods
    lines = [line_of('AimCLR', 0, 50.), dict(line_of('AimCLR', 1, 50.), seconds=140.)]
    assert pool_methods.affordable('AimCLR', 240, 5, lines) == 10
    assert pool_methods.affordable('SkeletonCLR', 240, 5, lines) == 0
    lines.append(dict(line_of('AimCLR', 0, 50., 'seconds'), epochs=8))
    assert pool_methods.affordable('AimCLR', 240, 5, lines) == 8


def test_runs_that_take_the_seconds_anyway_are_not_run_twice(monkeypatch):
    import pool_methods
    monkeypatch.setattr(pool_methods, 'EPOCHS', 4)
    monkeypatch.setattr(pool_methods, 'SECONDS', 240)
    lines = [dict(line_of('SkeletonCLR', 0, 50.), epochs=4, seconds=230.)]
    assert pool_methods.with_budget(lines, 'SkeletonCLR', 'seconds') == [{**lines[0], 'budget': 'seconds'}]
    lines[0]['seconds'] = 100.
    assert pool_methods.with_budget(lines, 'SkeletonCLR', 'seconds') == []
    own = dict(line_of('SkeletonCLR', 0, 60., 'seconds'), epochs=10)
    assert pool_methods.with_budget([*lines, own], 'SkeletonCLR', 'seconds') == [own]
    assert pool_methods.with_budget([*lines, own], 'SkeletonCLR', 'steps') == lines


def test_methods_are_compared_with_the_control_of_the_same_budget():
    import pool_methods
    runs = [('SkeletonCLR', 50., 'steps', 4, 80.), ('SkeletonCLR', 60., 'seconds', 12, 240.),
            ('AimCLR', 57., 'steps', 4, 160.), ('AimCLR', 61., 'seconds', 6, 240.),
            ('3s-ActCLR', 70., 'steps', 4, 230.)]
    lines = [dict(line_of(name, 0, knn, budget), epochs=epochs, seconds=seconds)
             for name, knn, budget, epochs, seconds in runs]
    lines[0]['sets'] = {name: {**rows, 'untrained_encoder': dict(knn=1., linear=2.)}
                        for name, rows in lines[0]['sets'].items()}
    steps, seconds = ({row.split(' | ')[0].strip('| '): row.split(' | ') for row in text.splitlines()[2:]}
                      for text in pool_methods.table(lines).split('\n\n')[1::2])
    assert list(steps) == ['untrained encoder of SkeletonCLR', 'SkeletonCLR', 'AimCLR', '3s-ActCLR']
    # a run that takes as long anyway is in both
    assert list(seconds) == ['SkeletonCLR', 'AimCLR', '3s-ActCLR']
    assert (steps['AimCLR'][6], seconds['AimCLR'][6], seconds['3s-ActCLR'][6]) == ('+7.0', '+1.0', '+10.0')


def test_only_what_has_no_run_of_the_seconds_is_run(monkeypatch, tmp_path):
    import pool_methods
    results = tmp_path / 'lines.jsonl'
    lines = [dict(line_of('SkeletonCLR', 0, 50.), epochs=4, seconds=80.),
             dict(line_of('3s-ActCLR', 0, 50.), epochs=4, seconds=230.)]
    results.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    asked = []
    monkeypatch.setattr(pool_methods.Grid, 'drive', lambda self, jobs: asked.extend(jobs) or True)
    monkeypatch.setattr(sys, 'argv', ['pool_methods.py', '--only', 'seconds', '--methods', 'SkeletonCLR', '3s-ActCLR',
                                      '--seeds', '0', '1', '--results', str(results)])
    pool_methods.main()
    assert [(run.variant, run.epochs, run.seed) for run in asked] == [('SkeletonCLR', 12, 0), ('SkeletonCLR', 12, 1)]


def test_every_protocol_is_run_once_for_each_encoder_and_coordinates_for_none():
    import protocols
    names = {'mine': 'actclr_joint_pool', 'other': 'actclr_joint_uiprmd'}
    jobs = list(protocols.jobs_of(names, list(protocols.SPLITS), [0, 1]))
    assert len(set(jobs)) == len(jobs)
    count = {}
    for job in jobs:
        count.setdefault(job.protocol, []).append(job.encoder)
    assert count['segmentation coordinates'] == [''] and count['segmentation untrained'] == list(names)
    # three sets, two seeds; the network from scratch is that of the first alone; from a set to the two others
    assert all(count[f'finetune {labels}'].count('other') == 6 for labels in protocols.LABELS)
    assert set(count['scratch 1']) == {'mine'} and count['from utdmhad'].count('other') == 4
    # the coordinates are the same run, whichever encoders are named
    reverse = list(protocols.jobs_of(dict(reversed(names.items())), ['utdmhad'], [0]))
    assert [job.recipe() for job in jobs if not job.encoder] == [job.recipe() for job in reverse if not job.encoder]


def test_the_table_of_protocols_has_means_spreads_and_paired_differences():
    import protocols

    def line(encoder, protocol, seed, top1, data='utdmhad'):
        return dict(encoder=encoder, protocol=protocol, data=data, seed=seed, metrics={'': {'classifier/top1': top1}})

    rng = np.random.default_rng(1)
    a, b = rng.normal(50, 3, 3), rng.normal(60, 3, 3)
    lines = [line(name, 'finetune 1', seed, value) for name, values in (('a', a), ('b', b))
             for seed, value in enumerate(values)]
    lines += [line('b', 'finetune 1', seed, 30. + seed, 'uiprmd') for seed in (0, 1)]
    lines += [line('a', 'linear', 0, 80.), line('b', 'linear', 0, 90.)]
    lines.append(dict(encoder='b', protocol='frozen', data='nwucla', seed=0, metrics={
        '': {'knn/backbone_k1': 11., 'knn/backbone_k20': 12., 'mean_joint_velocity/knn/backbone_k1': 3.},
        'xview_clean': {'knn/backbone_k20': 13.}}))
    lines.append(dict(encoder='b', protocol='segmentation', data='utdmhad', seed=0, metrics={'': {
        f'segmentation/{name}': 7. for name in (*protocols.SEGMENTATION, 'majority')}}))
    first, second = protocols.table(lines).split('\n\n')
    rows = {tuple(cells[:2]): cells[2:] for row in first.splitlines()[2:]
            for cells in [row.strip('| ').split(' | ')]}
    few, linear = 'finetuned, 1 label a class, 150 epochs', 'linear (lr 3, 100 epochs)'
    assert rows[few, 'a'] == [f'{a.mean():.1f} ± {a.std(ddof=1):.1f}', '-', '-', '-', '3']
    assert rows[few, 'b'][1] == '30.5 ± 0.7' and rows[few, 'b'][-1] == '2 to 3'
    assert rows[linear, 'b'] == ['90.0', '-', '-', '-', '1']
    interval = stats.ttest_rel(b, a).confidence_interval()
    assert rows[few, 'b against a'] == [
        f'{(b - a).mean():+.1f} ± {(interval.high - interval.low) / 2:.1f}', '-', '-', '-', '3']
    assert (linear, 'b against a') not in rows
    assert rows['kNN, k 1 / k 20', 'b'] == ['- / -', '- / -', '11.0 / 12.0', '- / 13.0', '1']
    assert second.splitlines()[2].startswith('| commonest class | 7.0 |')
    assert second.splitlines()[3].startswith('| b | 7.0 | 7.0')


def test_few_labels_are_drawn_by_the_seed_and_have_steps_enough():
    import protocols
    few, whole, scratch, linear = (protocols.Job('a', '', protocol, 'utdmhad', 4).options() for protocol in (
        'finetune 2', 'finetune 0', 'scratch 2', 'linear'))
    assert {'label_subset.per_class=2', 'label_subset.seed=4', 'randomness.seed=4', 'train_cfg.max_epochs=100',
            'param_scheduler.milestones=[80]'} <= set(few)
    assert not any(option.startswith('label_subset') for option in whole) and 'train_cfg.max_epochs=30' in whole
    assert {*scratch} - {*few} == {'from_scratch=True'} and linear == ('randomness.seed=4',)


def test_the_inner_split_is_counted_as_its_own_evaluation_does(tiny_archive, tmp_path):
    import on_sets
    archive = SkeletonArchive.open(tiny_archive)
    test = archive.split('xsub', 'test')
    rng = np.random.default_rng(3)
    import torch
    samples = [dict(index=int(i), label=int(archive.column('label')[i]), role=int(i in set(test.tolist())),
                    features={'backbone': torch.from_numpy(rng.normal(size=6)).float()})
               for i in [*archive.split('xsub', 'train'), *test]]

    def evaluate(metric: FeatureMetric, chosen) -> dict:
        metric.process(None, chosen)
        return metric.compute_metrics(metric.results)

    both = on_sets.KNNOnBoth(str(tiny_archive), 'xsub', 'xsub', k=[3])
    both.inner = set(test[:4].tolist())
    found = evaluate(both, samples)
    plain = evaluate(KNNEvaluator(k=[3]), samples)
    inner = evaluate(KNNEvaluator(k=[3]), [s for s in samples if not s['role'] or s['index'] in both.inner])
    assert found['backbone_k3'] == plain['backbone_k3']
    assert found['backbone_k3_inner'] == inner['backbone_k3'] != found['backbone_k3']


def test_the_tables_of_the_docs_are_those_of_the_lines():
    import tables
    assert not tables.stale_pages()


def test_every_file_of_lines_has_a_table_in_the_docs():
    import tables
    used = {match[2].partition('/')[0] for pattern in tables.PAGES for path in tables.ROOT.glob(pattern)
            for match in tables._BLOCK.finditer(path.read_text(encoding='utf-8'))}
    assert used >= {path.stem for path in tables.RESULTS.glob('*.jsonl')}


def test_what_a_record_keeps_is_the_table_below_the_last_mark():
    import record
    logged = '2026/11/27 22:16:28 - mmengine - INFO - '
    output = f'{logged}accuracy in %\nold\n{logged}accuracy in %\n      k1\nmine  9\n\n      k2\n{logged}more\nlast\n'
    kept = record.Record(('python x.py',), 'accuracy in %')
    assert kept.kept(output) == '      k1\nmine  9\n\n      k2'
    assert record.Record(('python x.py',)).kept(f' a \n{logged[5:]}x\nb\n\n') == ' a\nb'
    with pytest.raises(DataError, match="no line that ends with 'accuracy in %'"):
        kept.kept('nothing')


def test_a_record_of_tables_keeps_them_and_their_titles():
    import record
    output = '`benchmark.py` on CPU\n\n**One**\n\n| a |\n| --- |\n| 1 |\nmore\n\n**Two**\n\n| b |\n\nwritten: x\n'
    tables = record.Record(('python x.py',), tables=True)
    assert tables.kept(output) == '**One**\n\n| a |\n| --- |\n| 1 |\n\n**Two**\n\n| b |'
    with pytest.raises(DataError, match='the output has no table'):
        tables.kept('**title**\nplain\n')
    rows = record.Record(('python x.py',), tables=True, header=('what', 'made'))
    assert rows.kept('..\n| a | 1 |\n.\n\n| b | 2 |\n') == '| what | made |\n| --- | --- |\n| a | 1 |\n| b | 2 |'
    with pytest.raises(DataError, match='not the columns what, made'):
        rows.kept('| a | 1 | 2 |\n')
    assert tables.kept('**lost**\n\nx\n\n**One**\n\n| a |\n') == '**One**\n\n| a |'
    line = dict(commands=['python x.py'], output='| a |', tables=True)
    assert record.table(line) == '```bash\npython x.py\n```\n\n| a |'


def test_a_record_in_the_docs_is_the_output_of_the_last_run(monkeypatch, tmp_path):
    import tables
    monkeypatch.setattr(tables, 'RESULTS', tmp_path)
    lines = [dict(name=name, commands=['python a.py', 'python b.py'], output=output)
             for name, output in (('streaming', 'old'), ('streaming', '9 ms'), ('conversion', 'other'))]
    (tmp_path / 'records.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    page = '<!-- table: records/streaming -->\n<!-- end of table -->'
    assert '```bash\npython a.py\npython b.py\n```\n\n```text\n9 ms\n```' in tables.draw(page, 'page.md')
    with pytest.raises(DataError, match="table 'records/else' is none of"):
        tables.draw(page.replace('streaming', 'else'), 'page.md')
    with pytest.raises(DataError, match='no lines for its table records/utd_3s'):
        tables.draw(page.replace('streaming', 'utd_3s'), 'page.md')


def test_records_are_of_commands_that_are_known_and_stand_in_the_docs():
    import record
    import tables
    newest = {line['name']: line for line in tables.read_lines(tables.RESULTS / 'records.jsonl')}
    pages = ''.join(path.read_text() for pattern in tables.PAGES for path in tables.ROOT.glob(pattern))
    for name, line in newest.items():
        assert line['commands'] == list(record.RECORDS[name].commands), name
        assert bool(line.get('tables')) == record.RECORDS[name].tables
        assert f'<!-- table: records/{name} -->' in pages


def test_a_failed_command_adds_no_record(tmp_path, monkeypatch, capsys):
    import record
    records = dict(bad=('python -c "print(7); raise SystemExit(3)"',), gone=('no-such-program',),
                   good=('echo first', 'echo 9'))
    monkeypatch.setattr(record, 'RECORDS', {name: record.Record(commands) for name, commands in records.items()})
    for name, message in (('bad', 'ended with 3, see above; nothing was added'), ('gone', 'no such program')):
        monkeypatch.setattr(sys, 'argv', ['record.py', name, '--results', str(tmp_path / 'lines.jsonl')])
        with pytest.raises(ConfigError, match=message):
            record.main()
    assert '7\n' in capsys.readouterr().out and not (tmp_path / 'lines.jsonl').exists()
    for options in ([], ['--last']):
        monkeypatch.setattr(sys, 'argv', ['record.py', 'good', *options, '--results', str(tmp_path / 'lines.jsonl')])
        record.main()
    first, second = (json.loads(line) for line in (tmp_path / 'lines.jsonl').read_text().splitlines())
    assert first['output'] == second['output'] == '9'
    assert None not in first['seconds'] and second['seconds'][0] is None and len(second['seconds']) == 2


def test_an_encoder_of_several_streams_has_a_row_for_each():
    import encoders
    sets = {name: {who: dict(knn=10. * i, linear=50.) for i, who in enumerate(
        ('encoder', 'joint', 'motion', 'equal', 'prepared_coordinates', 'mean_joint_velocity', 'untrained_encoder'))}
        for name in ('utd_mhad', 'ui_prmd', 'nw_ucla', 'nw_ucla_clean')}
    lines = [dict(encoder='a', seed=seed, sets=sets) for seed in (0, 1)]
    lines.append(dict(encoder='b', seed=0, sets=sets))
    lines[1]['sets'] = {name: {**rows, 'untrained_encoder': dict(knn=70., linear=70.)} for name, rows in sets.items()}
    rows = dict(line.strip('| ').split(' | ')[:2] for line in encoders.table(lines).splitlines()[2:])
    assert rows == {
        'raw coordinates': '40.0 / 50.0', 'mean joint velocity': '50.0 / 50.0', 'untrained encoder of a': '65.0 / 60.0',
        'a, fused 0.6 / 0.4 / 0.6': '0.0 / 50.0', 'a, joint': '10.0 / 50.0', 'a, motion': '20.0 / 50.0',
        'a, fused with equal weights': '30.0 / 50.0', 'untrained encoder of b': '60.0 / 50.0',
        'b, fused 0.6 / 0.4 / 0.6': '0.0 / 50.0', 'b, joint': '10.0 / 50.0', 'b, motion': '20.0 / 50.0',
        'b, fused with equal weights': '30.0 / 50.0'}
    same = encoders.table([lines[0], dict(lines[0], encoder='c')])
    assert 'untrained encoder of a' in same and 'untrained encoder of c' not in same and '| c, joint' in same


def test_encoders_are_named_on_the_command_line(grid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('a.pth').write_text('')
    assert grid.named_encoders(['x=a.pth', 'y=actclr_joint_pool']) == {
        'x': str(tmp_path / 'a.pth'), 'y': 'actclr_joint_pool'}
    with pytest.raises(ConfigError, match='x=b.pth: there is no such file, expected a checkpoint or one of the zoo'):
        grid.named_encoders(['x=b.pth'])
    for words in ([], ['a.pth'], ['x=']):
        with pytest.raises(ConfigError, match='expected NAME=CKPT'):
            grid.named_encoders(words)


def test_a_number_that_no_line_has_is_found(monkeypatch, tmp_path):
    import tables
    monkeypatch.setattr(tables, 'RESULTS', tmp_path)
    monkeypatch.setitem(tables.TABLES, 'small', lambda lines: f'| {lines[0]["knn"]} |')
    (tmp_path / 'small.jsonl').write_text(json.dumps(dict(knn=51.5)) + '\n')
    page = 'text\n<!-- table: small -->\n| 61.5 |\n<!-- end of table -->\nmore\n'
    assert tables.draw(page, 'page.md') == page.replace('61.5', '51.5')
    with pytest.raises(DataError, match=r"page.md: table 'other' is none of ablation"):
        tables.draw(page.replace('small', 'other'), 'page.md')
    (tmp_path / 'small.jsonl').unlink()
    with pytest.raises(DataError, match='has no lines'):
        tables.draw(page, 'page.md')


def test_numbers_on_cards_are_those_of_their_lines():
    from cards import COLUMNS
    from grid import RESULTS, read_lines

    from mmactclr.utils.zoo import list_zoo, read_zoo_card
    lines = {(line['name'], line['command'], line['sha256']): line['metrics']
             for line in read_lines(RESULTS / 'cards.jsonl')}
    checked = set()
    for name in list_zoo():
        card = read_zoo_card(name)
        for result in card['results']:
            found = lines.get((name, result['command'], card['sha256']))
            assert found, f'{name}: run python benchmarks/cards.py'
            groups = {'': result['metrics'], **{f'{who}/': values for who, values in result['baselines'].items()}}
            for who, metrics in groups.items():
                for metric, value in metrics.items():
                    assert abs(value - found[who + metric]) < .051, (name, result['part'], who + metric)
            checked |= {who.rstrip('/') for who in groups}
    assert checked == set(COLUMNS)


def test_lines_of_encoders_agree_with_those_of_cards():
    """Two scripts, the same weights."""
    from grid import RESULTS, read_lines
    encoders = {line['encoder']: line['sets'] for line in read_lines(RESULTS / 'encoders.jsonl')}
    sets = {'UTD-MHAD (': 'utd_mhad', 'UI-PRMD,': 'ui_prmd', 'Northwestern-UCLA (': 'nw_ucla',
            'Northwestern-UCLA,': 'nw_ucla_clean'}
    compared = 0
    for line in read_lines(RESULTS / 'cards.jsonl'):
        if not line['name'].endswith('_pool'):
            continue
        data = next(key for start, key in sets.items() if line['data'].startswith(start))
        found = encoders['actclr_3s_pool'][data][line['name'].split('_')[1]]
        for place, metric in (('knn/backbone_k1', '1nn'), ('knn/backbone_k20', 'knn'),
                              ('logistic/backbone_top1', 'linear')):
            assert abs(line['metrics'][place] - found[metric]) < .011, (line['name'], data, metric)
            compared += 1
    assert compared == 3 * 4 * 3


def test_pairs_of_numbers_in_the_readme_are_those_of_encoders_in_its_order():
    import tables
    from grid import RESULTS, read_lines
    lines = {line['encoder']: line['sets'] for line in read_lines(RESULTS / 'encoders.jsonl')}
    named = re.findall(r'\d+\.\d / \d+\.\d', (tables.ROOT / 'README.md').read_text())
    # the authors' encoder, raw coordinates, the pool's joint stream, its three streams; each on three sets
    expected = [(lines[name][data][who]['knn'], lines[name][data][who]['linear']) for name, who in (
        ('public ActCLR', 'encoder'), ('public ActCLR', 'prepared_coordinates'), ('actclr_joint_pool', 'encoder'),
        ('actclr_3s_pool', 'encoder')) for data in ('utd_mhad', 'ui_prmd', 'nw_ucla')]
    assert [tuple(map(float, pair.split(' / '))) for pair in named] == [
        pytest.approx(pair, abs=.051) for pair in expected]


def test_the_ablation_compares_with_the_control_and_with_the_whole_method():
    import ablation
    lines = [dict(line_of(name, seed, knn + seed * step), scalars=dict(mask_share=.4 + .1 * seed))
             for name, knn, step in (('MoCo', 50., 1), ('ActCLR', 60., 2), ('mask by its maximum', 57., 4))
             for seed in (0, 1)]
    for line in lines[:2]:
        line['scalars'] = dict(loss=1.)
    first, second = ablation.table(lines).split('\n\n')
    rows = {row.split(' | ')[0].strip('| '): [cell.strip(' |') for cell in row.split(' | ')[1:]]
            for row in second.splitlines()[2:]}
    assert list(rows) == ['ActCLR', 'mask by its maximum'] and rows['ActCLR'] == ['', '', '45', '2']
    # -3 and -1, in which 95% of two are 12.7 standard errors
    assert rows['mask by its maximum'] == ['-2.0 ± 12.7', '+0.0 ± 0.0', '45', '2']
    assert next(row for row in first.splitlines() if row.startswith('| ActCLR')).split(' | ')[6] == '+10.5 ± 6.4'


def test_the_figure_of_memory_sizes_has_means_and_standard_errors(monkeypatch, tmp_path):
    import ablation

    import mmactclr.visualization
    drawn = {}
    monkeypatch.setattr(mmactclr.visualization, 'draw_lines', lambda panels, path, *_, errors, **__: drawn.update(
        panels=panels, errors=errors) or path)
    lines = [dict(variant=name, budget='steps', seed=seed, sets={column: {'encoder': {
        'knn': value + seed, 'linear': 2 * value}} for column in ('utd_mhad', 'ui_prmd', 'nw_ucla_clean')})
        for name, value in (('ActCLR', 40), ('memory of 256', 30), ('MoCo', 1)) for seed in (0, 2)]
    ablation.figure(lines, tmp_path / 'x.png')
    assert drawn['panels']['kNN (k 20)'] == {'ActCLR': {2048: 41, 256: 31}}
    assert drawn['panels']['logistic regression'] == {'ActCLR': {2048: 80, 256: 60}}
    assert drawn['errors']['kNN (k 20)']['ActCLR'] == pytest.approx({2048: 1, 256: 1})
