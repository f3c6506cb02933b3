"""Plain-text tables for logs and terminals."""
from collections.abc import Mapping


def format_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Lay out ``{row: {column: value}}``; columns in order of first appearance, a dash where nothing is."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = ['', *columns]
    body = [[name, *(f'{row[column]:.1f}' if column in row else '-' for column in columns)]
            for name, row in rows.items()]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]

    def render(line: list[str]) -> str:
        numbers = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return '  '.join([line[0].ljust(widths[0]), *numbers])

    return '\n'.join([render(head), '-' * len(render(head)), *map(render, body)])
