"""What all command-line tools share; imports nothing that takes a second, so that ``--help`` answers at once."""
import argparse
import ast
import difflib
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from mmactclr.errors import MMActCLRError
from mmactclr.plugins import find_plugins

_TOOL: ContextVar[bool] = ContextVar('tool', default=False)


def in_a_tool() -> bool:
    """Whether a command-line tool is running, rather than somebody's script."""
    return _TOOL.get()


def command_line() -> list[str]:
    """Words of the command that runs: those typed after ``mmactclr``, or the interpreter and its script."""
    script, words = sys.argv[0], sys.argv[1:]
    return [*script.split(), *words] if script.startswith('mmactclr ') else [sys.executable, script, *words]


def spelt(python: str, tool: str) -> str:
    """How whoever called writes something down: as in Python, or as on the command line."""
    return tool if in_a_tool() else python


class ToolParser(argparse.ArgumentParser):
    """Parser of a tool: a choice or an option that does not exist is answered with the nearest ones."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            near = difflib.get_close_matches(str(value), [str(choice) for choice in action.choices or ()], n=3)
            if near:
                error.message += f'; did you mean {" or ".join(near)}?'
            raise

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in the base class."""
        found, left = self.parse_known_args(args, namespace)
        if left:
            known, hints = sorted(_options(self)), ''
            for word in (word.partition('=')[0] for word in left if word.startswith('-')):
                near = difflib.get_close_matches(word, known, n=3)
                hints += f'; {word}: did you mean {" or ".join(near)}?' if near else ''
            self.error(f'unrecognized arguments: {" ".join(left)}{hints}')
        return found


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """Options of a parser and of its sub-commands."""
    found = {option for action in parser._actions for option in action.option_strings}
    subs = [sub for action in parser._actions if isinstance(action, argparse._SubParsersAction)
            for sub in action.choices.values()]
    return found.union(*map(_options, subs))


class OptionsAction(argparse.Action):
    """``--cfg-options K=V ...``; what does not parse is refused by the parser instead of crashing it."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        """Parse the words."""
        for word in values:
            if '=' not in word:
                parser.error(f'{option_string} {word}: expected K=V, e.g. data_root=data/mine')
        from mmengine.config import DictAction
        try:
            DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)
        except (AssertionError, RecursionError) as error:  # brackets without their counterparts, or too many of them
            parser.error(f'{option_string} {" ".join(values)[:200]}: {str(error)[:200]}')


def add_model_and_data(parser: argparse.ArgumentParser, part: str = 'test', stream: bool = False) -> None:
    """What every tool asks for that shows what a model makes of recordings.

    Args:
        parser: Parser of the tool.
        part: Part of the split that is looked at unless another one is named.
        stream: Whether one of several streams can be chosen.
    """
    parser.add_argument('config', help='config file, or the name of a config of this package')
    parser.add_argument('checkpoint', help='checkpoint of that config')
    parser.add_argument('--split-part', choices=['train', 'test', 'both'], default=part,
                        help=f'part of the split to take the sequences from; default {part}')
    if stream:
        parser.add_argument('--stream', help='which stream of a model with several; default the first')
    add_config_options(parser)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """``--cfg-options`` of a tool."""
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='K=V', default={},
                        help='override entries of the config, e.g. data_root=data/other')


def file_name(*suffixes: str) -> Callable[[str], Path]:
    """Type of an option that names a file to write: the parser refuses other endings before any work is done."""

    def check(text: str) -> Path:
        path = Path(text)
        if path.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f'{text!r}: expected a file name that ends in {" or ".join(suffixes)}')
        return path

    return check


def add_view(parser: argparse.ArgumentParser) -> None:
    """From where bodies are drawn: ``--view``, ``--elevation`` and ``--azimuth``."""
    parser.add_argument('--view', choices=['flat', '3d'], default='flat',
                        help='x and y alone, or in space, with a floor; default flat')
    parser.add_argument('--elevation', type=float, default=15., metavar='DEGREES',
                        help='of the view in space, above the horizon; default 15')
    parser.add_argument('--azimuth', type=float, default=35., metavar='DEGREES',
                        help='of the view in space, from the side that flat pictures show to the right; default 35')


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn errors that a user can act on into one line on stderr and exit code 1; interrupts into 130."""
    token = _TOOL.set(True)
    try:
        yield
    except MMActCLRError as error:
        print('error:', ' '.join(str(error).split()), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    finally:
        _TOOL.reset(token)


def first_line(path: Path) -> str:
    """First line of a module's docstring, or first comment of a shell script, without running either."""
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.py':
        return (ast.get_docstring(ast.parse(text)) or '').partition('\n')[0]
    return next((line[2:] for line in text.splitlines() if line.startswith('# ')), '')


def registered_in(folder: Path, registry: str) -> dict[str, str]:
    """Names that the modules of a folder register, with the first line of each docstring, without importing them.

    Args:
        folder: Folder of the modules.
        registry: Name of the registry in the code, such as ``CONVERTERS``; the name of an entry is the first argument
            of its ``register_module``, or that of the class.
    """
    found = {}
    for path in folder.glob('*.py'):
        classes = [node for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
                   if isinstance(node, ast.ClassDef)]
        for node in classes:
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == f'{registry}.register_module':
                    name = ast.literal_eval(call.args[0]) if call.args else node.name
                    found[name] = (ast.get_docstring(node) or '').partition('\n')[0]
    return dict(sorted(found.items()))


def require_known(parser: argparse.ArgumentParser, what: str, word: str, known: Collection[str],
                  more: str = '') -> None:
    """End with exit code 2 and the nearest names where a word is none of those that are known.

    Args:
        parser: Parser of the tool.
        what: What the word names, such as ``format``.
        word: The word.
        known: Names that there are.
        more: What else can be done.
    """
    if word not in known:
        near = difflib.get_close_matches(word, known, n=3)
        hint = f'did you mean {" or ".join(near)}? ' if near else ''
        parser.error(f'unknown {what} {word!r}; {hint}There are {", ".join(known)}{more}')


def run_format_tool(argv: list[str] | None, build_parser: Callable[..., argparse.ArgumentParser], registry: str,
                    own: str, act: Callable[[Any, dict[str, Any]], str], interrupted: str) -> int:
    """What ``convert.py`` and ``export.py`` do: choose a format of a registry by name, and run it.

    Args:
        argv: Words of the command line, those of the process if None.
        build_parser: Gives the parser; with ``listed=True`` one that only names the formats, without an import.
        registry: Name of the registry in ``mmactclr.registry``.
        own: What a class of the user's is called, with its article, for the hint at an unknown format.
        act: Runs an instance of the format with the options of the command line; returns the line to print.
        interrupted: What is said after Ctrl-C.

    Returns:
        The exit status: 0; 1 where the input is at fault; 130 after Ctrl-C.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument('--custom-imports', action='append', default=[])
    found, rest = early.parse_known_args(argv)
    if not found.custom_imports and not find_plugins() and (not rest or rest[0].startswith('-')):
        # nothing but the list of formats is asked for, and it is known without an import
        build_parser(listed=True).parse_args(argv)
    try:
        if found.custom_imports:
            from .overrides import import_modules
            import_modules(found.custom_imports, '--custom-imports')
        parser = build_parser()
        import mmactclr.registry
        formats = getattr(mmactclr.registry, registry)
        word = next((word for word in rest if not word.startswith('-')), None)
        if word is not None:
            require_known(parser, 'format', word, sorted(formats.module_dict),
                          f'; {own} of your own joins them with --custom-imports MODULE before FORMAT')
        options = vars(parser.parse_args(argv))
        options.pop('custom_imports')
        print(act(formats.get(options.pop('format'))(), options))
    except (MMActCLRError, ImportError, OSError) as error:
        print('error:', ' '.join(str(error).split()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    return 0
