"""The command ``mmactclr``: every script of ``tools`` by name, from anywhere.

    mmactclr list configs 'actclr_joint*'
    mmactclr convert synthetic - data/synthetic
    mmactclr train actclr_joint_synthetic_xsub --work-dir work_dirs/first
    mmactclr COMMAND --help

The scripts lie in the installed package, or in the checkout that it is imported from. ``python -m mmactclr`` is the
same.
"""
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from .utils.cli import first_line
from .utils.places import shipped
from .version import __version__

_HEADINGS = {
    '': 'pretrain, evaluate, use', 'dataset_converters': 'data', 'model_converters': 'weights',
    'analysis_tools': 'results and cost', 'visualization': 'pictures', 'deployment': 'deployment'}


def commands() -> dict[str, Path]:
    """Scripts by the name of their command: that of the file, with hyphens."""
    return {path.stem.replace('_', '-'): path for path in sorted(shipped('tools').rglob('*'))
            if path.suffix in ('.py', '.sh')}


def _help(known: dict[str, Path]) -> Iterator[str]:
    yield 'usage: mmactclr COMMAND [arguments], mmactclr COMMAND --help, mmactclr --version'
    folders = sorted({path.parent for path in known.values()}, key=lambda path: (path.name != 'tools', path.name))
    for folder in folders:
        yield ''
        yield _HEADINGS.get('' if folder.name == 'tools' else folder.name, folder.name) + ':'
        for name, path in known.items():
            if path.parent == folder:
                about = first_line(path)
                yield f'  {name:<21}{about if len(about) < 96 else about[:93].rstrip() + "..."}'


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code, where the script does not end by itself."""
    words = sys.argv[1:] if argv is None else argv
    known = commands()
    if not words or words[0] in ('-h', '--help', 'help'):
        print('\n'.join(_help(known)))
        return 0 if words else 2
    if words[0] == '--version':
        print(f'mmactclr {__version__}')
        return 0
    name = words[0].replace('_', '-')
    if name not in known:
        import difflib
        near = difflib.get_close_matches(name, known, n=3)
        hint = f'did you mean {" or ".join(near)}?' if near else 'mmactclr --help lists what there is'
        print(f'error: unknown command {words[0]!r}; {hint}', file=sys.stderr)
        return 2
    path = known[name]
    if path.suffix == '.sh':
        bash = shutil.which('bash')
        if bash is None:
            print(f'error: mmactclr {name} needs bash, which was not found', file=sys.stderr)
            return 2
        # in the place of this process, so that signals reach it; by the interpreter that has the package
        os.environ.setdefault('PYTHON', sys.executable)
        os.environ['MMACTCLR_COMMAND'] = f'mmactclr {name}'
        sys.stdout.flush()
        os.execv(bash, [bash, str(path), *words[1:]])
    sys.argv = [f'mmactclr {name}', *words[1:]]
    _run(path)
    return 0


def _run(path: Path) -> None:
    """Run a script as Python does, but under the name that ``sys.argv`` has for it, which runpy would replace."""
    script, before = ModuleType('__main__'), sys.modules['__main__']
    script.__file__ = str(path)
    sys.modules['__main__'] = script
    try:
        exec(compile(path.read_bytes(), str(path), 'exec'), vars(script))
    finally:
        sys.modules['__main__'] = before


if __name__ == '__main__':
    sys.exit(main())
