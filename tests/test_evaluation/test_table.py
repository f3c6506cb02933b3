"""Tables that stay readable."""
from mmactclr.evaluation import format_table


def test_columns_that_do_not_fit_go_below():
    rows = {name: {f'knn/{stream}.backbone_k{k}': 10.0 * k for stream in ('joint', 'motion', 'bone') for k in (1, 20)}
            for name in ('this checkpoint', 'untrained')}
    rows['untrained'].pop('knn/bone.backbone_k20')
    text = format_table(rows, width=80)
    assert all(len(line) <= 80 for line in text.splitlines())
    blocks = text.split('\n\n')
    assert len(blocks) > 1
    columns = [column for block in blocks for column in block.splitlines()[0].split()]
    assert columns == list(rows['this checkpoint'])
    for block in blocks:
        assert [line.split('  ')[0].strip() for line in block.splitlines()[2:]] == ['this checkpoint', 'untrained']
    assert blocks[-1].splitlines()[-1].endswith('-')
    assert len(format_table(rows, width=1000).split('\n\n')) == 1
