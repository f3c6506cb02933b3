"""The rules of the house: who imports whom, no machine's paths, docstrings, short files."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmactclr'
SOURCES = sorted([*PACKAGE.rglob('*.py'), *(ROOT / 'tools').rglob('*.py')])
# each room may use those before it; the first entry holds what stands below all rooms
ORDER = [
    ('errors', 'plugins', 'components', 'registry', 'version'),
    ('utils',),
    ('structures',),
    ('transforms',),
    ('datasets',),
    ('models',),
    ('visualization',),
    ('evaluation',),
    ('engine',),
    ('apis',),
    ('tools', '__main__'),
]
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
# not part of the chain: drawing must not depend on training, nor training on drawing
APART = {
    'visualization': {'models', 'evaluation', 'engine'},
    'evaluation': {'visualization'},
    'engine': {'visualization'},
}
TEXT = {'.py', '.md', '.rst', '.cfg', '.toml', '.txt', '.yml', '.yaml', '.sh', '.json', '.in'}


def room_of(path: Path) -> str:
    """Room of a source file: the folder or module below mmactclr, or 'tools'."""
    if PACKAGE not in path.parents:
        return 'tools'
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix('.py')


def imported_rooms(path: Path) -> Iterator[tuple[str, int]]:
    """Rooms that a file imports anywhere, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ''
            if node.level:
                parents = path.relative_to(ROOT).parts[: -node.level]
                module = '.'.join([*parents, *filter(None, [module])])
            names = (
                [module]
                if module.count('.')
                else [f'{module}.{alias.name}' for alias in node.names]
            )
        for name in names:
            parts = name.split('.')
            if parts[0] == 'mmactclr' and len(parts) > 1 and parts[1] in LEVEL:
                yield parts[1], node.lineno


def test_every_room_has_a_place_in_the_order():
    rooms = {room_of(path) for path in SOURCES} - {'__init__'}
    assert rooms <= set(LEVEL), (
        f'unknown rooms {sorted(rooms - set(LEVEL))}: give them a place in ORDER'
    )


def test_imports_are_found_in_every_form(tmp_path, monkeypatch):
    """The checker itself: absolute, from, relative and nested imports."""
    monkeypatch.setitem(globals(), 'ROOT', tmp_path)
    file = tmp_path / 'mmactclr' / 'models' / 'x.py'
    file.parent.mkdir(parents=True)
    file.write_text(
        'import mmactclr.engine.hooks\nfrom mmactclr import apis\nfrom ..datasets import a\n'
        'def f():\n    from .. import evaluation\n'
    )
    assert [room for room, _ in imported_rooms(file)] == [
        'engine',
        'apis',
        'datasets',
        'evaluation',
    ]


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_dependencies_point_one_way(path):
    room = room_of(path)
    if room == '__init__':
        return
    wrong = [
        f'line {line}: {room} imports {other}'
        for other, line in imported_rooms(path)
        if LEVEL[other] > LEVEL[room] or other in APART.get(room, ())
    ]
    assert not wrong, '; '.join(wrong)


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_names_have_docstrings(path):
    tree = ast.parse(path.read_text(encoding='utf-8'))
    bare = [] if ast.get_docstring(tree) or not tree.body else ['the module']

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.ClassDef, ast.FunctionDef)) or child.name.startswith('_'):
                continue
            if not ast.get_docstring(child):
                bare.append(prefix + child.name)
            if isinstance(child, ast.ClassDef):
                visit(child, f'{prefix}{child.name}.')

    visit(tree, '')
    assert not bare, f'without a docstring: {bare}'


def tracked_texts() -> list[Path]:
    """Files that belong to the project; folders of data, results and builds are left out."""
    folders = ('mmactclr', 'configs', 'tools', 'tests', 'docs', 'demo', '.ci')
    files = [path for path in ROOT.iterdir() if path.is_file()]
    files += [path for folder in folders for path in (ROOT / folder).rglob('*')]
    return sorted(
        p
        for p in files
        if p.is_file()
        and (p.suffix in TEXT or p.name in ('Makefile', 'run'))
        and not {'_build', '__pycache__'} & set(p.parts)
    )


def test_no_paths_of_somebodys_machine():
    private = re.compile(
        r'(?<![\w./-])(/(home|Users|root|work|mnt|data\d*|scratch)/\w|[A-Z]:\\\\\w)'
    )
    found = [
        f'{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}'
        for path in tracked_texts()
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
        if private.search(line) and path != Path(__file__)
    ]
    assert not found, '\n'.join(found)


def test_files_stay_short():
    long = {
        str(path.relative_to(ROOT)): count
        for path in SOURCES
        if (count := len(path.read_text(encoding='utf-8').splitlines())) > 400
    }
    assert not long, f'a file has one subject and fits on a few screens: {long}'


def test_leaf_configs_state_only_what_differs():
    long = [
        path.name
        for path in (ROOT / 'configs').rglob('*.py')
        if '_base_' not in path.parts and len(path.read_text().splitlines()) >= 40
    ]
    assert not long
