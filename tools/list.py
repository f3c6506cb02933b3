"""List what can be named: configs, published weights, formats of data, and the parts that configs are made of.

Example:
    python tools/list.py configs 'actclr_joint*'
    python tools/list.py models
    python tools/list.py backbones
"""
import argparse
import fnmatch
import inspect
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# parts by name in a config (`type=`): folder in the package, and registry
PARTS = {'backbones': ('models/backbones', 'MODELS'), 'methods': ('models/algorithms', 'MODELS'),
         'losses': ('models/losses', 'MODELS'), 'transforms': ('transforms', 'TRANSFORMS'),
         'evaluators': ('evaluation', 'METRICS')}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from mmactclr.utils.cli import ToolParser
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=('configs', 'models', 'formats', *PARTS),
                        help='configs: every config that a tool takes by name; models: published weights, which stand '
                             'for a checkpoint; formats: what convert.py reads; the others: types in a config')
    parser.add_argument('pattern', nargs='?', default='*', help="only names like this, such as 'actclr_3s_*'")
    return parser.parse_args(argv)


def rows(kind: str) -> dict[str, str]:
    """Names of a kind, and what is said of each."""
    from mmactclr.plugins import find_plugins, plugin_configs
    from mmactclr.utils.cli import registered_in
    from mmactclr.utils.places import PACKAGE, shipped
    if kind == 'formats' and find_plugins():
        import mmactclr.datasets.converters  # noqa: F401  (registers the formats)
        from mmactclr.registry import CONVERTERS
        return {name: (inspect.getdoc(found) or '').partition('\n')[0]
                for name, found in sorted(CONVERTERS.module_dict.items())}
    if kind == 'formats':
        return registered_in(PACKAGE / 'datasets' / 'converters', 'CONVERTERS')
    if kind in PARTS:
        folder, registry = PARTS[kind]
        return registered_in(PACKAGE / folder, registry)
    if kind == 'models':
        from mmactclr.utils.zoo import list_zoo, read_zoo_card
        return {name: read_zoo_card(name)['summary'] for name in list_zoo()}
    return {path.stem: path.relative_to(root.parent).as_posix()
            for root in (shipped('configs'), *plugin_configs().values()) for path in sorted(root.rglob('*.py'))
            if '_base_' not in path.parts}


def main(argv: list[str] | None = None) -> None:
    """Print the names."""
    args = parse_args(argv)
    from mmactclr.errors import ConfigError, near_patterns
    known = rows(args.kind)
    found = {name: about for name, about in known.items() if fnmatch.fnmatchcase(name, args.pattern)}
    if not found:
        near = near_patterns(args.pattern, known)
        hint = f'did you mean {" or ".join(near)}? ' if near else ''
        raise ConfigError(f'none of the {args.kind} is like {args.pattern!r}; {hint}{Path(sys.argv[0]).name} '
                          f'{args.kind} shows all')
    width = max(map(len, found))
    for name, about in found.items():
        print(f'{name:<{width}}  {about}')


if __name__ == '__main__':
    from mmactclr.utils.cli import report_errors
    with report_errors():
        main()
