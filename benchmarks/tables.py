"""Draw the tables of the docs from the lines of benchmarks/results, or check that they are those.

A table of a page stands between `<!-- table: NAME -->` and `<!-- end of table -->`; NAME is one of TABLES, or
records/NAME for commands and output that record.py keeps.

Example:
    python benchmarks/tables.py
    python benchmarks/tables.py --check
"""
import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import ablation  # noqa: E402
import backbones  # noqa: E402
import cards  # noqa: E402
import demo_seeds  # noqa: E402
import encoders  # noqa: E402
import pool_methods  # noqa: E402
import protocols  # noqa: E402
import record  # noqa: E402
from grid import RESULTS, read_lines  # noqa: E402

from mmactclr.errors import DataError  # noqa: E402
from mmactclr.utils import write_text  # noqa: E402

# name of a table, and what draws it from the lines of the file of that name
TABLES: dict[str, Callable[[list[dict]], str]] = {
    'ablation': ablation.table, 'ablation_short': ablation.table, 'backbones': backbones.table,
    'cards': cards.table, 'demo': demo_seeds.table, 'encoders': encoders.table, 'pool_methods': pool_methods.table,
    'pool_trials': encoders.table, 'protocols': protocols.table}
PAGES = ('README.md', 'docs/*.md', 'docs/data/*.md')
_BLOCK = re.compile(r'(<!-- table: ([\w/]+) -->\n)(.*?)(<!-- end of table -->)', re.S)


def draw(page: str, name: str) -> str:
    """The text of a page with its tables drawn anew.

    Args:
        page: Text.
        name: Name of the page, for messages.

    Raises:
        DataError: A table is unknown, or has no lines.
    """
    def table(match: re.Match[str]) -> str:
        file, _, part = match[2].partition('/')
        if file not in TABLES and not (file == 'records' and part in record.RECORDS):
            raise DataError(f'{name}: table {match[2]!r} is none of {", ".join(TABLES)}, '
                            f'records/{", records/".join(record.RECORDS)}')
        lines = read_lines(RESULTS / f'{file}.jsonl')
        if part:
            lines = [line for line in lines if line['name'] == part]
        if not lines:
            raise DataError(f'{name}: {RESULTS.name}/{file}.jsonl has no lines for its table {match[2]}'
                            + (f'; python benchmarks/record.py {part} adds one' if part else ''))
        drawn = record.table(lines[-1]) if part else TABLES[file](lines)
        return f'{match[1]}{drawn.strip()}\n{match[4]}'

    return _BLOCK.sub(table, page)


def stale_pages() -> dict[Path, str]:
    """Pages that differ from their lines, with the text that they should have."""
    pages = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    texts = {path: path.read_text(encoding='utf-8') for path in pages}
    drawn = {path: draw(text, path.name) for path, text in texts.items()}
    return {path: text for path, text in drawn.items() if text != texts[path]}


def main() -> None:
    """Draw or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='change nothing; fail if a page differs from its lines')
    args = parser.parse_args()
    stale = stale_pages()
    for path, text in stale.items():
        if not args.check:
            write_text(path, text)
        print(f'{path.relative_to(ROOT)} {"differs from its lines" if args.check else "drawn"}')
    if not stale:
        print('every table is that of its lines')
    if stale and args.check:
        sys.exit(1)


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
