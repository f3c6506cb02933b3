"""Joining the group of processes of a distributed run, and leaving it."""
import os
import re
import shutil
import subprocess
import time
from datetime import timedelta

import torch
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.utils.dl_utils import set_multi_processing

from mmactclr.errors import ConfigError

# seconds that processes wait for each other; one of them alone scores the features of a whole data set. That a
# process is gone is noticed much sooner, see PeerWatchHook
_PATIENCE = 7200
# what mmengine takes where the environment names none
_PORT = '29500'
# what says who a process is, by launcher: rank, number of processes, number on this machine
_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')}
_STARTERS = {
    'pytorch': 'torchrun ({} is not set); use bash tools/dist_train.sh CONFIG GPUS or bash tools/dist_test.sh CONFIG '
               'CKPT GPUS',
    'slurm': 'srun ({} is not set); use bash tools/slurm_train.sh or bash tools/slurm_test.sh',
    'mpi': 'mpirun of Open MPI ({} is not set); use mpirun -n GPUS python tools/train.py CONFIG --launcher mpi'}


def prepare_group(cfg: Config, launcher: str) -> None:
    """Choose the model wrapper and, where there are no GPUs, form the group of processes over gloo.

    Args:
        cfg: Config, changed in place.
        launcher: ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ConfigError: If the process was not started by ``launcher``, or has no GPU though others have.
    """
    wrapper = cfg.get('model_wrapper_cfg') or {}
    if 'type' not in wrapper:
        # the scope is named, as mmengine looks the wrapper up in its own registry
        cfg.model_wrapper_cfg = {
            'type': 'mmactclr.DistributedMethod',
            'find_unused_parameters': cfg.get('find_unused_parameters', False), **wrapper}
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {}).setdefault('timeout', _PATIENCE)
    if torch.distributed.is_initialized():
        return
    rank, size, local = _VARIABLES[launcher]
    missing = [name for name in (rank, size, local) if name not in os.environ]
    if missing:
        raise ConfigError(f'--launcher {launcher}: this process was not started by '
                          + _STARTERS[launcher].format(missing[0]))
    gpus, number = torch.cuda.device_count(), os.environ[local]
    if not gpus:
        # mmengine would ask for GPUs; with a group in place it skips its own set-up
        for name, source in (('RANK', rank), ('WORLD_SIZE', size), ('LOCAL_RANK', local)):
            os.environ[name] = os.environ[source]
        os.environ.setdefault('MASTER_PORT', _PORT)
        os.environ.setdefault('MASTER_ADDR', _first_host())
        timeout = timedelta(seconds=cfg.env_cfg.dist_cfg.timeout)
        torch.distributed.init_process_group('gloo', timeout=timeout)
    elif int(number) >= gpus:
        raise ConfigError(f'process {number} of this machine (counted from 0) has no GPU: there are {gpus}; start at '
                          'most as many processes, or set CUDA_VISIBLE_DEVICES to nothing to run on the CPU')


def join_group(cfg: Config, launcher: str) -> None:
    """Form the group of processes now, also over GPUs, where the runner would do it when it is built.

    Args:
        cfg: Config, changed in place.
        launcher: ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ConfigError: As :func:`prepare_group`.
    """
    prepare_group(cfg, launcher)
    if not torch.distributed.is_initialized():
        # before, as in the runner: forming the group would choose how loader processes are started
        set_multi_processing(**cfg.env_cfg.get('mp_cfg', {}), distributed=True)
        init_dist(launcher, **cfg.env_cfg.dist_cfg)


def _first_host() -> str:
    """The machine of the first process: the first one of a Slurm job, this one otherwise.

    Raises:
        ConfigError: If Slurm's list of machines cannot be read.
    """
    nodes = os.environ.get('SLURM_NODELIST') or os.environ.get('SLURM_JOB_NODELIST')
    if not nodes:
        return '127.0.0.1'
    if not re.search(r'[\[,]', nodes):
        return nodes
    if shutil.which('scontrol'):
        listed = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=False)
        if listed.returncode == 0 and listed.stdout.split():
            return listed.stdout.split()[0]
    raise ConfigError(f'--launcher slurm: SLURM_NODELIST is {nodes!r} and scontrol does not tell the first machine in '
                      'it; set MASTER_ADDR')


def leave_group() -> None:
    """End the group, if there is one; a process that ends afterwards takes nobody with it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        # a thread of gloo frees the tensors of the last exchange, and aborts the process if Python ends before it did
        time.sleep(0.5)
