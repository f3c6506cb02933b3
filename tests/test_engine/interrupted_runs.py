"""Run in a process of its own: runs that are stopped by signals and go on, beside some that are not.

Arguments: folder of an archive, folder to write to. Prints a line of JSON for every step and at every end.
benchmarks/ is on the path.
"""
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import mmengine.config.config
import numpy as np
import torch
from kill_and_resume import start
from mmengine.hooks import Hook
from torch.utils.data import Sampler

from mmactclr.apis import run_training
from mmactclr.engine.checkpoints import ModelCard
from mmactclr.engine.stop_signals import StoppedRun
from mmactclr.registry import DATA_SAMPLERS, HOOKS, MODELS
from mmactclr.structures import get_layout
from mmactclr.utils import load_config

# the layout of configs that are printed takes longer than the runs
mmengine.config.config.FormatCode = lambda text, **_: (text, True)
LAYOUT = 'kinect20_utdmhad'
archive, folder = map(Path, sys.argv[1:])


@DATA_SAMPLERS.register_module()
class OrderOfGlobalGenerator(Sampler):
    """An order that no seed gives back."""

    def __init__(self, dataset, seed=None) -> None:
        self.dataset = dataset

    def __iter__(self):
        return iter(torch.randperm(len(self.dataset)).tolist())

    def __len__(self) -> int:
        return len(self.dataset)


@HOOKS.register_module()
class Probe(Hook):
    """Prints what a step saw and draws from every global generator; asks to stop during one of the steps."""

    priority = 'LOWEST'

    def __init__(self, stop_at: int | None) -> None:
        self.stop_at = stop_at

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Print a step."""
        drawn = [torch.rand(1).item(), np.random.rand(), np.random.randn(), random.random(), random.gauss(0, 1)]
        print(json.dumps(dict(
            iter=runner.iter, epoch=runner.epoch, batch=batch_idx, drawn=drawn, index=data_batch['index'].tolist(),
            loss=float(outputs['loss']), lr=runner.optim_wrapper.get_lr()['lr'])))
        if runner.iter + 1 == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


def write_encoder() -> Path:
    """A checkpoint of an encoder."""
    model = dict(type='Recognizer', layout=LAYOUT, head=None, backbone=dict(
        type='STGCN', layout=LAYOUT, channels=[4, 8], strided_units=[1], dropout=.5))
    torch.manual_seed(5)
    card = ModelCard(model=model, layout=get_layout(LAYOUT).to_dict(), num_frames=16)
    torch.save({'state_dict': MODELS.build(model).state_dict(), 'meta': {'mmactclr': card.to_dict()}},
               folder / 'encoder.pth')
    return folder / 'encoder.pth'


def settings(case: str) -> tuple[str, dict]:
    """Config and options of a case."""
    common = {'data_root': str(archive), 'train_dataloader.batch_size': 6, 'train_cfg.max_epochs': 3,
              'default_hooks.checkpoint.interval': 3}
    if case == 'moco':
        return 'moco_joint_ntu60_xsub', {
            **common, 'layout': LAYOUT, 'num_frames': 16, 'model.backbone.channels': [4, 8],
            'model.backbone.strided_units': [1], 'model.projector.in_channels': 8,
            'model.projector.hidden_channels': 8, 'model.projector.out_channels': 4, 'model.memory.dim': 4,
            'model.memory.size': 16, 'train_cfg.val_interval': 1, 'optim_wrapper.accumulative_counts': 2}
    return f'benchmarks/{case}/{case}_utdmhad_xsub.py', {
        **common, 'init_from': str(folder / 'encoder.pth'), 'train_cfg.val_interval': 3,
        'train_dataloader.num_workers': 2 if case == 'finetune' else 0, 'optim_wrapper.optimizer.lr': .1}


def train(case: str, name: str, stop_at: int | None = None, resume: str | None = None) -> None:
    """One run; its steps and its end are printed."""
    config, options = settings(case)
    cfg = load_config(config, options)
    if case == 'moco':
        cfg.train_dataloader.sampler = dict(type='OrderOfGlobalGenerator')
        cfg.param_scheduler = [dict(type='LinearLR', start_factor=.1, by_epoch=False, end=7),
                               dict(type='MultiStepLR', by_epoch=True, milestones=[1, 2], gamma=.5)]
    else:
        cfg.param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True, T_max=3, convert_to_iter_based=True)
    cfg.dump(folder / f'{case}.py')
    cfg.custom_hooks.append(dict(type='Probe', stop_at=stop_at))
    cfg.experiment_name = f'{case}_{name}_{stop_at}'
    code = 0
    try:
        run_training(cfg, folder / case / name, resume=resume)
    except StoppedRun as error:
        code = error.code
    print(json.dumps(dict(end=f'{case} {name} {stop_at}', code=code)))


def interrupt(signals: list[signal.Signals]) -> None:
    """tools/train.py, stopped by each of the signals in turn; its exit codes are printed."""
    config, options = settings('linear')
    options |= {'train_cfg.max_epochs': 3000, 'default_hooks.logger.interval': 1}
    for number in signals:
        life = start([config, '--work-dir', str(folder / 'signals'), '--resume', '--cfg-options',
                      *(f'{name}={value}' for name, value in options.items())], folder / f'{number.name}.log')
        end = time.monotonic() + 120
        while 'Epoch(train)' not in life.log.read_text() and life.log.exists() and time.monotonic() < end:
            time.sleep(.02)
        os.kill(life.pid, number)
        print(json.dumps(dict(end=f'signal {number.name}', code=life.wait())))


if __name__ == '__main__':
    # ignored where the tests were started in the background, and a run that ignores it goes on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    write_encoder()
    for case, at in (('moco', 5), ('linear', 4), ('finetune', 4)):
        train(case, 'straight')
        train(case, 'stopped', stop_at=at)
        train(case, 'stopped', resume='auto')
    train('linear', 'halted', stop_at=4)
    interrupt([signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
