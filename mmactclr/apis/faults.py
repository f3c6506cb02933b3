"""What goes wrong around a training, in words that say what to do."""
import errno
import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.dist import get_rank, get_world_size

from mmactclr.engine.checkpoints.last_good import newest_text
from mmactclr.errors import MMActCLRError, RunError

_DISK = {
    errno.ENOSPC: 'the disk is full; make room',
    errno.EDQUOT: 'your quota of the disk is used up; make room',
    errno.EROFS: 'the disk is read-only, as a disk is mounted again after an error; repair it or take another '
                 '--work-dir',
    errno.EACCES: 'permission is denied; change the rights or take another --work-dir',
    errno.EPERM: 'permission is denied; change the rights or take another --work-dir',
    errno.EIO: 'the disk cannot be read or written (input/output error); look at its health',
    errno.ESTALE: 'the network disk has lost the file; mount it again',
    errno.EMFILE: 'too many files are open; raise ulimit -n or set num_workers=0 in the dataloaders'}
# what torch says of a file that cannot be written, without the number of the error
_WRITER = re.compile(r'PytorchStreamWriter failed writing file|inline_container.*file write failed')
_PEERS = re.compile(
    r'Connection closed by peer|Connection reset by peer|Broken pipe|Socket closed|Connection refused|'
    r'Timed out waiting|[Tt]imeout.*(?:gloo|NCCL|collective|store)|(?:gloo|NCCL|ncclInternal|collective).*[Tt]imeout|'
    r'ncclRemoteError|ncclSystemError|NCCL communicator was aborted|unhandled system error|'
    r'gloo/transport|failed to recv, got 0 bytes|Watchdog caught collective|no connection to the store', re.DOTALL)
_WORKER = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (.*)', re.DOTALL)
_GPU_MEMORY = re.compile(r'CUDA out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED')
_CPU_MEMORY = re.compile(r"DefaultCPUAllocator: (?:can't|not enough)|Cannot allocate memory|unable to mmap")
_IN_WORKER = re.compile(r'^Caught \w+ in DataLoader worker process (\d+)\.')


def check_writable(work_dir: str | Path, nothing: str = 'Nothing was trained') -> None:
    """Find out before anything is read or trained whether a run can write its results.

    Args:
        work_dir: Folder of the run; made if it is not there.
        nothing: What did not happen, for the message.

    Raises:
        RunError: If the folder cannot be made or a file of a few bytes cannot be written there.
    """
    work_dir = Path(work_dir)
    probe = work_dir / f'.writable-{os.getpid()}'
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        with probe.open('wb') as file:
            file.write(b'0' * 4096)
            file.flush()
            # a full disk may only say so here
            os.fsync(file.fileno())
    except OSError as error:
        why = _DISK.get(error.errno or 0) or f'{error.strerror or error}; take another --work-dir'
        raise RunError(f'the work dir {str(work_dir)!r} cannot be written: {why}. {nothing}') from error
    finally:
        try:
            probe.unlink(missing_ok=True)
        except OSError:
            # what could not be written is not there
            pass


@contextmanager
def explain_faults(work_dir: str | Path | None = None) -> Iterator[None]:
    """Turn what the machine does to a run into one line: what failed, the last good checkpoint, what to do.

    Errors of the program itself pass as they are; so do those of this package.

    Args:
        work_dir: Folder of a training; None where nothing is trained, so that there is no checkpoint to go on from.

    Raises:
        RunError: In place of an error of disk, memory, loader processes or other processes of the run.
        MMActCLRError: An error of this package that a loader process raised, without the traceback that torch adds.
    """
    try:
        yield
    except MMActCLRError as error:
        worker = _IN_WORKER.match(str(error))
        if not worker:
            raise
        traceback.clear_frames(error.__traceback__)
        # torch puts the whole traceback into the message
        last = str(error).strip().splitlines()[-1].partition(': ')[2]
        raise type(error)(f'{last} (in loader process {worker[1]})') from error
    except (OSError, MemoryError, RuntimeError) as error:
        text = _explain(error, 'test' if work_dir is None else 'train')
        if text is None:
            raise
        # they hold the loader, whose dead processes raise again whenever another child of this process ends
        traceback.clear_frames(error.__traceback__)
        if work_dir is None:
            raise RunError(f'{text}. Nothing was trained, so nothing is lost; then try again'
                           ) from error
        raise RunError(f'{text}. {str(work_dir)!r}: {newest_text(work_dir)}; go on with --resume') from error


def is_fault(error: BaseException) -> bool:
    """Whether an error is one of the machine: of its disk, memory or processes."""
    return isinstance(error, (OSError, MemoryError, RuntimeError)) and _explain(error, 'train') is not None


def _explain(error: BaseException, purpose: str) -> str | None:
    """What an error means; None if it is none of a machine. The purpose names the loader: ``train``, ``test``."""
    text = str(error)
    for explain in (_explain_worker, _explain_disk, _explain_memory, _explain_peers):
        found = explain(error, text, purpose)
        if found is not None:
            return found
    return None


def _explain_disk(error: BaseException, text: str, purpose: str) -> str | None:
    # torch's writer hides the error of the system behind its own
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    for one in chain:
        if isinstance(one, OSError) and one.errno in _DISK and not isinstance(one, ConnectionError):
            path = one.filename if one.filename is not None else one.filename2
            named = f'{os.fsdecode(path)!r}' if isinstance(path, (str, bytes, os.PathLike)) else 'a file of the run'
            return f'{named}: {_DISK[one.errno]}'
    if _WRITER.search(text):
        return 'a checkpoint could not be written, most likely because the disk is full; make room'
    return None


def _explain_memory(error: BaseException, text: str, purpose: str) -> str | None:
    smaller = ('set train_dataloader.batch_size lower (auto_scale_lr.enable=True scales the learning rate with it), '
               'or val_dataloader.batch_size if it happened in an evaluation'
               if purpose == 'train' else 'set test_dataloader.batch_size lower')
    way = 'train with --amp' if purpose == 'train' else 'take --amp'
    if isinstance(error, torch.OutOfMemoryError) or _GPU_MEMORY.search(text):
        used = re.search(r'Tried to allocate ([\d.]+ \w+)', text)
        wanted = f' ({used[1]} more were wanted)' if used else ''
        return f'the memory of the GPU is used up{wanted}; {smaller}, {way}, or free the GPU of other jobs'
    if isinstance(error, MemoryError) or isinstance(error, OSError) and error.errno == errno.ENOMEM \
            or _CPU_MEMORY.search(text):
        return f'the memory of the machine is used up; {smaller}, or set {purpose}_dataloader.num_workers=0'
    return None


def _explain_worker(error: BaseException, text: str, purpose: str) -> str | None:
    found = _WORKER.search(text)
    if not found:
        return None
    what = found[2].split('.')[0].strip()
    why = 'the machine most likely ran out of memory (see dmesg)'
    if 'Bus error' in text:
        why = ('either /dev/shm is full (give the container more: --shm-size), or a file of the data was cut short '
               'while it was read (tools/dataset_converters/verify.py tells)')
    return (f'a loader process (pid {found[1].strip()}) {what}: {why}; set {purpose}_dataloader.num_workers=0, which '
            'is as fast for prepared sequences, or fewer')


def _explain_peers(error: BaseException, text: str, purpose: str) -> str | None:
    if get_world_size() == 1 and int(os.environ.get('WORLD_SIZE', '1')) == 1:
        return None
    distributed = isinstance(error, (torch.distributed.DistError, ConnectionError))
    if not distributed and not _PEERS.search(text):
        return None
    rank, size = _place()
    return (f'process {rank} of {size} (counted from 0) lost the others: one of them has ended or hangs, and its own '
            'last lines say why')


def _place() -> tuple[int, int]:
    if torch.distributed.is_initialized():
        return get_rank(), get_world_size()
    return int(os.environ.get('RANK', '0')), int(os.environ.get('WORLD_SIZE', '1'))
