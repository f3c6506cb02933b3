"""Tables that stay readable."""
from mmactclr.evaluation import format_table

STREAMS = ('joint', 'motion', 'bone')
POINTS = ('knn/backbone_k1', 'knn/backbone_k20', 'knn/projection_k1', 'knn/projection_k20', 'linear/backbone_top1')


def test_columns_that_do_not_fit_go_below():
    names = ('this checkpoint', 'untrained')
    rows = {name: {f'evaluator{i}/backbone_k20': 10.0 * i for i in range(6)} for name in names}
    rows['untrained'].pop('evaluator5/backbone_k20')
    text = format_table(rows, width=80)
    assert all(len(line) <= 80 for line in text.splitlines())
    blocks = text.split('\n\n')
    assert len(blocks) > 1
    assert [column for block in blocks for column in block.splitlines()[0].split()] == list(rows['this checkpoint'])
    for block in blocks:
        assert [line.split('  ')[0].strip() for line in block.splitlines()[2:]] == list(names)
    assert blocks[-1].splitlines()[-1].endswith('-')
    assert len(format_table(rows, width=1000).split('\n\n')) == 1


def test_streams_stand_below_what_is_fused_of_them():
    """All 25 numbers of a test of three streams in one table, each in the column of what it is a part of."""
    metrics = {}
    for column, point in enumerate(POINTS):
        head, tail = point.split('/')
        metrics |= {f'{head}/{stream}.{tail}': 10.0 * line + column for line, stream in enumerate(STREAMS, 1)}
        metrics |= {point: column, f'{point}_equal': 40.0 + column}
    rows = {'prepared_coordinates': {POINTS[0]: 1.0, POINTS[4]: 2.0}, 'this checkpoint': metrics}
    head, rule, *lines = format_table(rows).splitlines()
    assert head.split() == ['knn/backbone_k1', 'linear/backbone_top1', *POINTS[1:4]]
    assert len({len(line) for line in (head, rule, *lines)}) == 1 and len(rule) <= 120
    assert lines[0].split() == ['prepared_coordinates', '1.0', '2.0', '-', '-', '-']
    names = ['this checkpoint', '  joint', '  motion', '  bone', '  equal weights']
    for number, (line, name) in enumerate(zip(lines[1:], names, strict=True)):
        assert line.startswith(f'{name}  ')
        assert line.removeprefix(name).split() == [f'{10 * number + column:.1f}' for column in (0, 4, 1, 2, 3)]


def test_names_that_only_look_like_streams_stay_columns():
    lines = format_table({'a': {'accuracy_equal': 1.0, '1.5m': 2.0}}).splitlines()
    assert lines[0].split() == ['accuracy_equal', '1.5m'] and len(lines) == 3
