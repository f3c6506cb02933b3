"""What all command-line tools share."""
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mmactclr.errors import MMActCLRError


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
