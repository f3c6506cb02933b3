"""Plain-text tables for logs and terminals."""
import re
from collections.abc import Mapping, Sequence

# characters of a line that most terminals and reviews show
_WIDTH = 120
_GAP = 2
_INDENT = '  '
# evaluator/stream.point_variant, as evaluators name what they measure stream by stream
_OF_STREAM = re.compile(r'(?P<head>[^.]*/)(?P<stream>\w+)\.(?P<point>.+)')
_EQUAL = '_equal'


def format_table(rows: Mapping[str, Mapping[str, float]], width: int = _WIDTH) -> str:
    """Lay out ``{row: {column: value}}``; columns in order of first appearance, a dash where nothing is.

    What a row holds of single streams (``knn/joint.backbone_k20``) and with equal weights
    (``knn/backbone_k20_equal``) goes into lines of its own below it, in the column of what is fused. Columns that do
    not fit into ``width`` characters go into further tables below, with the same rows.
    """
    lines = [line for name, row in rows.items() for line in _by_stream(name, row)]
    columns = list(dict.fromkeys(column for _, row in lines for column in row))
    names = max((len(name) for name, _ in lines), default=0)
    blocks: list[list[str]] = [[]]
    used = names
    for column in columns:
        size = max(len(column), *(len(_cell(row, column)) for _, row in lines)) + _GAP
        if blocks[-1] and used + size > width:
            blocks.append([])
            used = names
        blocks[-1].append(column)
        used += size
    return '\n\n'.join(_block(lines, block) for block in blocks)


def _by_stream(name: str, row: Mapping[str, float]) -> list[tuple[str, dict[str, float]]]:
    """A row as it is, without streams; otherwise what is fused, then a line for each stream and for equal weights."""
    parts: dict[str, dict[str, float]] = {name: {}}
    for column, value in row.items():
        found = _OF_STREAM.fullmatch(column)
        whole = column.removesuffix(_EQUAL)
        if found:
            parts.setdefault(_INDENT + found['stream'], {})[found['head'] + found['point']] = value
        elif whole != column and whole in row:
            parts.setdefault(_INDENT + 'equal weights', {})[whole] = value
        else:
            parts[name][column] = value
    return list(parts.items())


def _cell(row: Mapping[str, float], column: str) -> str:
    return f'{row[column]:.1f}' if column in row else '-'


def _block(lines: Sequence[tuple[str, Mapping[str, float]]], columns: Sequence[str]) -> str:
    head = ['', *columns]
    body = [[name, *(_cell(row, column) for column in columns)] for name, row in lines]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def render(line: list[str]) -> str:
        numbers = [cell.rjust(size) for cell, size in zip(line[1:], widths[1:], strict=True)]
        return (' ' * _GAP).join([line[0].ljust(widths[0]), *numbers])

    return '\n'.join([render(head), '-' * len(render(head)), *map(render, body)])
