"""What README and documentation point to exists; what they repeat from the code is still so."""

import argparse
import functools
import importlib.util
import os
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from mmactclr.__main__ import commands
from mmactclr.datasets.synthetic import ACTIONS, Nuisance
from mmactclr.utils.cli import ToolParser
from mmactclr.utils.config import SHARED_FIELDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]


def slug(heading: str) -> str:
    """Anchor that GitHub and MyST give a heading."""
    return re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_relative_links_lead_somewhere(page):
    links = re.findall(r'\]\(([^)\s]+)\)|\{literalinclude\} (\S+)', page.read_text())
    for link in (a or b for a, b in links):
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        assert target.is_file(), link
        if anchor:
            headings = re.findall(r'^#+ (.+)$', target.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), link


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_files_that_are_named_exist(page):
    named = re.findall(
        r'\b(?<!myplugin/)(?:mmactclr|configs|tools|tests|docs)/[\w./-]+\.(?:py|md|sh)\b', page.read_text()
    )
    # the plugin template speaks of its own files too
    assert not [name for name in named if not (ROOT / name).is_file() and not (page.parent / name).is_file()]


class Found(Exception):
    """Carries the parser of a tool."""


@functools.cache
def parser_of(tool: str) -> argparse.ArgumentParser:
    """The parser that a tool would read its command line with."""
    spec = importlib.util.spec_from_file_location(f'documented_{Path(tool).stem}', ROOT / tool)
    module = importlib.util.module_from_spec(spec)

    def give(parser, *_):
        raise Found(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'path', list(sys.path))
        patch.setattr(os, 'environ', os.environ.copy())
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        if hasattr(module, 'build_parser'):
            return module.build_parser()
        patch.setattr(ToolParser, 'parse_args', give)
        try:
            module.parse_args()
        except Found as found:
            return found.args[0]
    raise AssertionError(f'{tool} parses nothing')


def options_of(parser: argparse.ArgumentParser, words: list[str]) -> set[str]:
    """Options that a command may have: those of the tool and of the sub-command that its words name.

    A sub-command that no one registered, such as FORMAT or one of your own, may have those of any.
    """
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            named = [word for word in words if word in action.choices][:1]
            for name in named or action.choices:
                found |= options_of(action.choices[name], words[words.index(name) + 1:] if named else [])
    return found


def commands_of(text: str) -> list[tuple[str, list[str]]]:
    """Tools and words of the commands of a page."""
    commands = re.findall(r'python (tools/\S+\.py)([^\n`#]*)', text.replace('\\\n', ' '))
    return [(tool, rest.split()) for tool, rest in commands]


def wrong_options(text: str) -> list[str]:
    """Options of commands on a page that their tool does not have."""
    return [f'{tool} {word}' for tool, words in commands_of(text) for word in words
            if re.match(r'--[a-z]', word)
            and word.rstrip(').,;]').split('=')[0] not in options_of(parser_of(tool), words)]


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_options_of_the_tools_exist(page):
    assert not wrong_options(page.read_text())


def test_an_option_of_another_tool_or_format_is_found():
    text = """python tools/infer.py CKPT a.csv --skeleton x --gif
python tools/dataset_converters/convert.py ntu a b --labels x --overwrite
python tools/dataset_converters/export.py pyskl a b --frames 3
python tools/gallery.py build CKPT a b -k 3 --gif"""
    assert wrong_options(text) == [
        'tools/infer.py --skeleton', 'tools/dataset_converters/convert.py --labels',
        'tools/dataset_converters/export.py --frames', 'tools/gallery.py --gif']


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_commands_exist(page):
    named = re.findall(r'(?:^|`)(?:python -m )?mmactclr ([a-z-]+)', page.read_text(), re.MULTILINE)
    assert not set(named) - set(commands()) - {'--help', '--version'}


@pytest.mark.parametrize('page', PAGES, ids=IDS)
def test_make_targets_exist(page):
    targets = re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    named = re.findall(r'(?:^|`)make ([a-z]+)', page.read_text(), re.MULTILINE)
    assert set(named) <= set(targets)


def test_every_page_is_in_the_table_of_contents():
    listed = set((ROOT / 'docs/index.md').read_text().split())
    assert not [
        page.stem
        for page in PAGES
        if page.parent.name == 'docs' and page.stem not in listed | {'index'}
    ]


def test_ranges_of_the_synthetic_set_are_those_of_the_code():
    text = (ROOT / 'docs/synthetic.md').read_text()
    stated = {
        name: tuple(map(float, value.split(',')))
        for name, value in re.findall(r'^\| `(\w+)` \| ([\d., ]+) \|', text, re.MULTILINE)
    }
    nuisance = {
        field.name: field.default if isinstance(field.default, tuple) else (field.default,)
        for field in fields(Nuisance)
    }
    assert stated == nuisance


def test_classes_of_the_synthetic_set_are_those_of_the_code():
    text = (ROOT / 'docs/synthetic.md').read_text()
    missing = [action.name for action in ACTIONS if action.name not in text]
    assert not missing and f'{len(ACTIONS)} classes' in text


def test_every_base_config_and_shared_field_is_described():
    text = (ROOT / 'docs/configs.md').read_text()
    bases = [path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs/_base_').rglob('*.py')]
    assert not [base for base in bases if f'`{base}`' not in text]
    assert not [field for field in SHARED_FIELDS if f'| `{field}` |' not in text]


def test_readme_fits_on_a_screen_or_two():
    assert len((ROOT / 'README.md').read_text().splitlines()) < 110


@pytest.mark.parametrize('name', ['method', 'theory', 'synthetic', 'evaluation', 'visualization', 'data/browse'])
def test_pages_of_concepts_show_pictures_with_their_commands(name):
    text = (ROOT / f'docs/{name}.md').read_text()
    shown = list(re.finditer(r'^!\[[^\]]{10,}\]\((\S+\.png)\)$', text, re.MULTILINE))
    assert shown
    for each in shown:
        assert (ROOT / 'docs' / name).parent.joinpath(each[1]).is_file()
        # a command, at most a paragraph or a table away
        assert 'python ' in text[max(0, each.start() - 1200):each.start()], each[1]


def test_pictures_are_small_and_in_use():
    pages = ''.join(page.read_text() for page in [*PAGES, ROOT / 'README.md'])
    for path in (ROOT / 'docs/images').iterdir():
        assert path.name in pages and (path.suffix == '.gif' or path.stat().st_size < 150_000), path.name


def test_notebooks_are_linked():
    for path in (ROOT / 'docs/notebooks').glob('*.ipynb'):
        for page in ('README.md', 'docs/notebooks.md'):
            assert f'notebooks/{path.name}' in (ROOT / page).read_text(), f'{page}: {path.name}'
