"""What all command-line tools share."""
import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.config import DictAction

from mmactclr.errors import MMActCLRError


class OptionsAction(DictAction):
    """``--cfg-options K=V ...``; what does not parse is refused by the parser instead of crashing it."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        """Parse the words."""
        for word in values:
            if '=' not in word:
                parser.error(f'{option_string} {word}: expected K=V, e.g. data_root=data/mine')
        try:
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, RecursionError) as error:  # brackets without their counterparts, or too many of them
            parser.error(f'{option_string} {" ".join(values)[:200]}: {str(error)[:200]}')


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn errors that a user can act on into one line on stderr and exit code 1; interrupts into 130."""
    try:
        yield
    except MMActCLRError as error:
        print('error:', ' '.join(str(error).split()), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
