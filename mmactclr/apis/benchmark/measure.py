"""Clocks, memory, arithmetic and the tables they go into."""
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mmactclr.errors import ConfigError

# what each precision means to autocast; tf32 is a mode of the GPU's fp32
PRECISIONS = {'fp32': None, 'tf32': None, 'bf16': torch.bfloat16}
MIB = 2 ** 20
# sides of the matrices whose product shows the peak: large enough to be bound by arithmetic
_PEAK_SIZE = {'cpu': 1536, 'cuda': 8192}
_PEAK_ROUNDS = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows that belong together, under a heading.

    Attributes:
        title: What was measured.
        rows: Cells by column; a column that a row lacks stays empty.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]

    def markdown(self) -> str:
        """The table as Markdown, columns in order of first appearance."""
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        lines = [[str(column) for column in columns], ['---'] * len(columns),
                 *([_cell(row.get(column)) for column in columns] for row in self.rows)]
        return '\n'.join([f'**{self.title}**', '', *(f'| {" | ".join(line)} |' for line in lines)])


def _cell(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'
    return str(value)


def find_device(name: str) -> torch.device:
    """The device of a name; ``auto`` is a GPU where there is one.

    Raises:
        ConfigError: There is no GPU.
    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    if name.startswith('cuda') and not torch.cuda.is_available():
        raise ConfigError(f'--device is {name}, and PyTorch finds no GPU; use --device cpu')
    return torch.device(name)


def clock(device: torch.device) -> float:
    """Seconds on a clock that other processes disturb least, once the device has done its work."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    # the time of a process is that of all its threads together
    return time.process_time() if device.type == 'cpu' and torch.get_num_threads() == 1 else time.perf_counter()


def alternate(calls: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device,
              warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of every call of each, one after the other in every round: what slows the machine slows all of them."""
    for _ in range(warmup):
        for call in calls.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = clock(device)
            call()
            seconds[name].append(clock(device) - start)
    return seconds


def ratio(reference: Sequence[float], seconds: Sequence[float]) -> str:
    """Median, lowest and highest of the ratios of a reference to something else, round by round."""
    ratios = [slow / fast for slow, fast in zip(reference, seconds, strict=True)]
    return f'{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})'


@contextmanager
def precision_of(name: str, device: torch.device) -> Iterator[None]:
    """Matrix products of fp32 tensors in the precision of a name, on a GPU."""
    if device.type != 'cuda':
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name != 'fp32'
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def autocast(name: str, device: torch.device) -> AbstractContextManager:
    """The autocast of a precision."""
    return nullcontext() if PRECISIONS[name] is None else torch.autocast(device.type, PRECISIONS[name])


def check_precisions(names: Iterable[str], device: torch.device) -> list[str]:
    """The precisions that a device has.

    Raises:
        ConfigError: tf32 is asked of a CPU.
    """
    names = list(names)
    if 'tf32' in names and device.type == 'cpu':
        raise ConfigError('--precision tf32 is a mode of GPUs; use fp32 or bf16 on the CPU')
    return names


def matrix_peak(precision: str, device: torch.device) -> float:
    """FLOP/s of a large matrix product, the best of several: what the machine gives at most."""
    size = _PEAK_SIZE[device.type]
    left = torch.randn(size, size, device=device, dtype=PRECISIONS[precision] or torch.float32)
    with precision_of(precision, device):
        seconds = alternate({'product': lambda: left @ left}, _PEAK_ROUNDS, device, warmup=2)['product']
    return 2 * size ** 3 / min(seconds)


class _Counter(TorchDispatchMode):
    """Adds up what PyTorch's formulas give for every operation; FlopCounterMode refuses gradients inside a step."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def count_flops(call: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products and convolutions of a call, forward and backward."""
    with _Counter() as counter:
        call()
    return counter.total


def peak_memory(function: Callable[..., Any], *args: Any) -> float:
    """MiB that a process of its own, which calls a function of a module, holds at most; on a GPU, those of the GPU."""
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_peak, args=(sender, torch.get_num_threads(), function, args))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise ConfigError(f'the process that measures the memory of {function.__name__} ended early, perhaps out of '
                          'memory; try a smaller --batch') from None
    finally:
        process.join()


def _report_peak(sender: Any, threads: int, function: Callable[..., Any], args: Sequence[Any]) -> None:
    torch.set_num_threads(threads)
    function(*args)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        sender.send(torch.cuda.max_memory_allocated() / MIB)
    else:
        sender.send(_resident_peak())


def _resident_peak() -> float:
    """MiB that this process held at most."""
    try:
        # what getrusage says includes the process that started this one
        with open('/proc/self/status', encoding='utf-8') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('VmHWM')) / 1024
    except (OSError, StopIteration):
        # kilobytes, on macOS bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == 'darwin' else 1024)


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What the numbers of a table depend on."""
    return dict(device=torch.cuda.get_device_name(device) if device.type == 'cuda' else _processor(),
                threads=torch.get_num_threads(), cores=os.cpu_count(), torch=torch.__version__,
                python=platform.python_version())


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.split(':', 1)[1].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
