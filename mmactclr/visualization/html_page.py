"""A page of HTML in one file: text, tables and pictures, no scripts, nothing from elsewhere."""
import base64
import html
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmactclr.errors import ConfigError, DataError

_STYLE = '''
body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:70rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.25rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
nav a{margin-right:1rem;white-space:nowrap}img{max-width:100%;height:auto;display:block}
figure{margin:1rem 0}figcaption{color:#555;font-size:.9rem}.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;margin:.5rem 0}
th,td{padding:.2rem .6rem;border-bottom:1px solid #e4e4e4;text-align:left;vertical-align:top}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
td.bar{width:10rem;min-width:5rem;padding:.2rem 0}
td.bar span{display:block;height:.8rem;margin-top:.3rem;background:#3b6fb6}
code,pre{font-family:ui-monospace,monospace;font-size:.85rem}pre{overflow-x:auto;background:#f6f6f6;padding:.6rem}
.missing{background:#fff7e0;border-left:4px solid #e0a800;padding:.4rem .8rem}
'''


class HtmlPage:
    """Collects the parts of a page from the top down.

    Args:
        title: Title and first heading.

    Example:
        >>> page = HtmlPage('A run')
        >>> page.section('Results')
        >>> page.table(['row', 'accuracy'], [['ours', 81.25]])
        >>> '<td class="number">81.2</td>' in page.render()
        True
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._sections: list[str] = []
        self._parts: list[str] = []

    def section(self, title: str) -> None:
        """Begin a section, which the table of contents at the top leads to."""
        self._sections.append(title)
        self._parts.append(f'<h2 id="s{len(self._sections)}">{html.escape(title)}</h2>')

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f'<p>{html.escape(text)}</p>')

    def missing(self, text: str) -> None:
        """Say that something is not there, and why."""
        self._parts.append(f'<p class="missing">{html.escape(text)}</p>')

    def code(self, text: str) -> None:
        """Add a command or a listing."""
        self._parts.append(f'<pre><code>{html.escape(text)}</code></pre>')

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Any]], bar: int | None = None) -> None:
        """Add a table; numbers get one decimal and stand at the right, None is a dash.

        Args:
            head: Names of the columns.
            rows: Cells.
            bar: Column of percentages after which a bar of that length is drawn.
        """
        number = [any(isinstance(row[i], float) for row in rows) for i in range(len(head))]
        lines = ['<tr>' + ''.join(_cell('th', name, number[i]) + ('<th></th>' if i == bar else '')
                                  for i, name in enumerate(head)) + '</tr>']
        for row in rows:
            lines.append('<tr>' + ''.join(_cell('td', value, number[i]) + (_bar(value) if i == bar else '')
                                          for i, value in enumerate(row)) + '</tr>')
        self._parts.append('<div class="wide"><table>\n' + '\n'.join(lines) + '\n</table></div>')

    def picture(self, path: str | Path, caption: str) -> None:
        """Add a PNG file, which becomes part of the page.

        Raises:
            DataError: If it cannot be read.
        """
        try:
            data = base64.b64encode(Path(path).read_bytes()).decode('ascii')
        except OSError as error:
            raise DataError(f'picture {str(path)!r} cannot be read: {error}') from error
        text = html.escape(caption, quote=True)
        self._parts.append(f'<figure><img src="data:image/png;base64,{data}" alt="{text}">'
                           f'<figcaption>{text}</figcaption></figure>')

    def render(self) -> str:
        """The page as text."""
        links = ''.join(f'<a href="#s{i}">{html.escape(name)}</a> ' for i, name in enumerate(self._sections, 1))
        return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
                '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
                f'<title>{html.escape(self.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n'
                f'<h1>{html.escape(self.title)}</h1>\n<nav>{links}</nav>\n' + '\n'.join(self._parts)
                + '\n</body>\n</html>\n')

    def save(self, path: str | Path) -> Path:
        """Write the page aside and rename it; the folder is made where it is missing.

        Raises:
            ConfigError: If the name does not end in .html or the file cannot be written.
        """
        return save_html(self.render(), path)


def save_html(text: str, path: str | Path) -> Path:
    """Write text aside and rename it; the folder is made where it is missing.

    Raises:
        ConfigError: If the name does not end in .html or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in ('.html', '.htm'):
        raise ConfigError(f'page {str(path)!r}: expected a file name that ends in .html')
    aside = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(text, encoding='utf-8')
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f'page {str(path)!r} cannot be written: {error}') from error
    return path


def _cell(tag: str, value: Any, number: bool) -> str:
    text = '-' if value is None else f'{value:.1f}' if isinstance(value, float) else html.escape(str(value))
    return f'<{tag} class="number">{text}</{tag}>' if number else f'<{tag}>{text}</{tag}>'


def _bar(value: float | None) -> str:
    return f'<td class="bar"><span style="width:{min(max(value or 0., 0.), 100.):.1f}%"></span></td>'
