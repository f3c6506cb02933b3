"""Start processes with torchrun, and end as they did: with their exit code and one line instead of tracebacks.

Takes the arguments of ``python -m torch.distributed.run``. SIGTERM, SIGINT, SIGHUP and SIGUSR1 reach every process,
which then has ``--shutdown-timeout`` seconds to write its checkpoint. SIGHUP is ignored under ``nohup``. Exit code: 143
after SIGTERM or SIGUSR1, 130 after SIGINT, 129 after SIGHUP, that of the process that failed first, 128 + N if signal N
killed it.

Example:
    python tools/launch.py --standalone --nproc-per-node 2 tools/train.py CONFIG --launcher pytorch
"""
import signal
import sys
from contextlib import suppress

# seconds for a checkpoint before what has not ended is killed
_SHUTDOWN = 120
_SIGNALS = ('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1')


def main(arguments: list[str]) -> int:
    """Run; returns the exit code."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as run
    # torchrun would heed it all the same
    handled = [name for name in _SIGNALS if name != 'SIGHUP' or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN]
    try:
        run(['--signals-to-handle', ','.join(handled), '--shutdown-timeout', str(_SHUTDOWN), *arguments])
    except SignalException as error:
        # a warning before a time limit counts as the end that follows it
        number = signal.SIGTERM if error.sigval == signal.SIGUSR1 else error.sigval
        with suppress(OSError):
            # after SIGHUP there may be no terminal left
            print(f'{error.sigval.name}: all processes have ended', file=sys.stderr, flush=True)
        return 128 + number
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode if failure.exitcode >= 0 else 128 - failure.exitcode
        if code not in (129, 130, 143):
            how = f'was killed by {failure.signal_name()}' if failure.exitcode < 0 else f'ended with exit code {code}'
            print(f'error: process {rank} (counted from 0) {how}; the others were stopped. What it wrote above says '
                  'why; killed by SIGKILL without a word it most likely ran out of memory (dmesg). Give the same '
                  'command with --resume to go on from the last checkpoint', file=sys.stderr)
        return code
    return 0


if __name__ == '__main__':
    if {'-h', '--help'} & set(sys.argv[1:2]):
        print(__doc__)
        sys.exit()
    sys.exit(main(sys.argv[1:]))
