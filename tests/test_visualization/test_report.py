"""Pictures of reports: what is drawn is what the table says."""
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmactclr.errors import DataError
from mmactclr.visualization import draw_confusion, draw_timelines, read_confusion, read_timelines, report


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """Figures that would have been written."""
    kept: list[Figure] = []
    monkeypatch.setattr(report, 'save_png', lambda figure, path: kept.append(figure) or path)
    return kept


def test_a_confusion_matrix_shows_the_share_of_every_class(figures, tmp_path):
    table = tmp_path / 'a.confusion.csv'
    table.write_text('class,walk,"sit, slowly",lie\nwalk,3,1,0\n"sit, slowly",0,2,0\nlie,0,0,0\n')
    classes, counts = read_confusion(table)
    draw_confusion(classes, counts, tmp_path / 'a.png')
    ax = figures[0].axes[0]
    assert np.array_equal(ax.images[0].get_array(), [[75, 25, 0], [0, 100, 0], [0, 0, 0]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ['walk', 'sit, slowly', 'lie']
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {
        ((0, 0), '75'), ((1, 0), '25'), ((1, 1), '100')}


def test_a_timeline_shows_every_span_at_its_place(figures, tmp_path):
    table = tmp_path / 'a.timeline.csv'
    table.write_text('sequence,of,class,start,stop\nx,truth,walk,0,10\nx,truth,background,10,12\n'
                     'x,prediction,sit,0,12\ny,truth,walk,0,5\ny,prediction,walk,0,5\n')
    draw_timelines(read_timelines(table), tmp_path / 'a.png')
    first, second = figures[0].axes
    boxes = [path.vertices for bars in first.collections for path in bars.get_paths()]
    assert [(box[:, 0].min(), box[:, 0].max()) for box in boxes] == [(0, 10), (10, 12), (0, 12)]
    colours = [tuple(bars.get_facecolor()[0]) for bars in first.collections]
    assert len(set(colours)) == 3
    assert tuple(second.collections[0].get_facecolor()[0]) == colours[0]
    assert first.get_xlim() == (0, 12) and second.get_title('left') == 'y'


def test_many_sequences_are_drawn_from_first_to_last(figures, tmp_path):
    lines = {f's{i}': {'truth': [('walk', 0, 9)]} for i in range(30)}
    draw_timelines(lines, tmp_path / 'a.png', limit=3)
    assert [ax.get_title('left') for ax in figures[0].axes] == ['s0', 's14', 's29']


@pytest.mark.parametrize(('text', 'message'), [
    ('', 'is empty'), ('class,a\na,x\n', 'table of counts'), ('class,a,b\na,1,2\n', '2 columns and 1 rows'),
    ('class,a,b\nb,1,2\na,1,2\n', 'the same classes')])
def test_other_tables_are_refused(tmp_path, text, message):
    (tmp_path / 'a.csv').write_text(text)
    with pytest.raises(DataError, match=message):
        read_confusion(tmp_path / 'a.csv')


def test_other_timelines_are_refused(tmp_path):
    (tmp_path / 'a.csv').write_text('sequence,of,class,start,stop\nx,truth,walk,0,-1\n')
    with pytest.raises(DataError, match='line 2'):
        read_timelines(tmp_path / 'a.csv')
    with pytest.raises(DataError, match='cannot be read'):
        read_timelines(tmp_path / 'b.csv')
    with pytest.raises(DataError, match='no sequence'):
        draw_timelines({}, tmp_path / 'a.png')
