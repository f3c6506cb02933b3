"""Prints which share of the statements of each package the last `make coverage` executed.

What runs in processes of its own, as most tests of tools and of distributed runs do, is not seen and counts as missed.
"""
from collections import Counter
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[1]


def package_of(file: str) -> str:
    """Package below ``mmactclr`` that a source file belongs to, or ``mmactclr`` itself."""
    parts = Path(file).relative_to(ROOT / 'mmactclr').parts
    return parts[0] if len(parts) > 1 else 'mmactclr'


def main() -> None:
    """Read the data file of the working folder."""
    measured = coverage.Coverage(source=['mmactclr'])
    measured.load()
    statements, missed = Counter[str](), Counter[str]()
    for file in measured.get_data().measured_files():
        _, known, _, lacking, _ = measured.analysis2(file)
        for package in (package_of(file), 'all'):
            statements[package] += len(known)
            missed[package] += len(lacking)
    for package in sorted(statements, key=lambda name: (name == 'all', name)):
        share = 100 * (1 - missed[package] / max(statements[package], 1))
        print(f'{package:<14} {statements[package]:6d} statements {share:5.1f} %')


if __name__ == '__main__':
    main()
