"""Plain-text tables for logs and terminals."""
from collections.abc import Mapping, Sequence

# characters of a line that most terminals and reviews show
_WIDTH = 120
_GAP = 2


def format_table(rows: Mapping[str, Mapping[str, float]], width: int = _WIDTH) -> str:
    """Lay out ``{row: {column: value}}``; columns in order of first appearance, a dash where nothing is.

    Columns that do not fit into ``width`` characters go into further tables below, with the same rows.
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    names = max((len(name) for name in rows), default=0)
    blocks: list[list[str]] = [[]]
    used = names
    for column in columns:
        size = max(len(column), *(len(_cell(row, column)) for row in rows.values())) + _GAP
        if blocks[-1] and used + size > width:
            blocks.append([])
            used = names
        blocks[-1].append(column)
        used += size
    return '\n\n'.join(_block(rows, block) for block in blocks)


def _cell(row: Mapping[str, float], column: str) -> str:
    return f'{row[column]:.1f}' if column in row else '-'


def _block(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> str:
    head = ['', *columns]
    body = [[name, *(_cell(row, column) for column in columns)] for name, row in rows.items()]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def render(line: list[str]) -> str:
        numbers = [cell.rjust(size) for cell, size in zip(line[1:], widths[1:], strict=True)]
        return (' ' * _GAP).join([line[0].ljust(widths[0]), *numbers])

    return '\n'.join([render(head), '-' * len(render(head)), *map(render, body)])
