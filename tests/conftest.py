"""Fixtures that every room's tests share."""
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.utils import manager

# tensors in tests are tiny: threads only wait for each other; child processes inherit it
os.environ.setdefault('OMP_NUM_THREADS', '1')

from mmactclr.datasets import ArchiveWriter, SkeletonArchive
from mmactclr.structures import get_layout

_COUNTER = itertools.count()
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def free_managers() -> Iterator[None]:
    """Give back the lock that mmengine's managers keep when a test makes one of them fail."""
    yield
    with suppress(RuntimeError):
        while True:
            manager._lock.release()


@pytest.fixture(scope='session', autouse=True)
def plain_config_text() -> Iterator[None]:
    """Leave out the layout of printed configs: six times a run, it takes longer than the run itself."""
    with pytest.MonkeyPatch.context() as patch:
        # the fork of mmengine has no such name
        patch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True), raising=False)
        yield


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Folder with golden files and real data: ``$MMACTCLR_SHARED`` or ``shared`` beside the checkout."""
    folder = Path(os.environ.get('MMACTCLR_SHARED', ROOT.parent / 'shared'))
    if not (folder / 'golden').is_dir():
        pytest.skip(f'no golden files: {folder} does not exist (set MMACTCLR_SHARED to the folder that holds golden/ '
                    'and data/)')
    return folder


@pytest.fixture(scope='session')
def golden_dir(shared_dir: Path) -> Path:
    """Reference numbers to check each step against."""
    return shared_dir / 'golden'


@pytest.fixture(scope='session')
def real_data_dir(shared_dir: Path) -> Path:
    """Real skeleton sequences as flat npz files."""
    return shared_dir / 'data'


TINY_LAYOUT, TINY_CLASSES = 'kinect20_utdmhad', ('right hand', 'left hand', 'both')


@pytest.fixture(scope='session')
def write_tiny_archive() -> Callable[..., SkeletonArchive]:
    """Writes 27 short sequences of three classes and three subjects; every fourth has a second person.

    Subjects 1 and 2 train (18 sequences), subject 3 tests. ``frames`` changes the length of the first
    sequence, ``split`` the parts of the split ``xsub``.
    """

    def write(path: Path, frames: int = 20,
              split: tuple[str, str, str] = ('train', 'train', 'test')) -> SkeletonArchive:
        layout, rng = get_layout(TINY_LAYOUT), np.random.default_rng(7)
        rest = rng.normal(0, .4, (layout.num_joints, 3))
        moving = dict(zip(TINY_CLASSES, (['right_arm'], ['left_arm'], ['right_arm', 'left_arm']), strict=True))
        parts = []
        with ArchiveWriter(path, layout, classes=list(TINY_CLASSES), fps=30, source='made up',
                           licence='none') as writer:
            for i in range(27):
                label, subject = i % 3, i // 3 % 3
                length = frames if i == 0 else 18 + i % 5
                persons = 1 + (i % 4 == 3)
                motion = np.tile(rest * (1 + .1 * subject), (persons, length, 1, 1))
                joints = [j for part in moving[TINY_CLASSES[label]] for j in layout.parts[part]]
                motion[:, :, joints, 1] += .4 * np.sin(np.linspace(0, 6, length) + rng.uniform(0, 6))[None, :, None]
                motion += rng.normal(0, .01, motion.shape) + rng.normal(0, .3, (persons, 1, 1, 3))
                writer.add(motion.astype(np.float32), label=label, name=f'take{i}', subject=subject + 1)
                parts.append(split[subject])
            return writer.finish({'xsub': parts})

    return write


@pytest.fixture(scope='session')
def tiny_archive(tmp_path_factory, write_tiny_archive) -> Path:
    """Folder of a tiny archive that tests only read."""
    path = tmp_path_factory.mktemp('tiny') / 'archive'
    write_tiny_archive(path)
    return path


@pytest.fixture(scope='session')
def tiny_options() -> Callable[..., dict[str, Any]]:
    """Overrides that shrink one of the ntu60 configs to two epochs (one each stage) of a tiny archive."""

    def options(data_root: Path, config: str = 'actclr_joint_ntu60_xsub', **more: Any) -> dict[str, Any]:
        branch = 'model.branch' if '_3s_' in config or '_2s_' in config else 'model'
        small = {
            'data_root': str(data_root), 'layout': TINY_LAYOUT, 'num_frames': 16, 'train_dataloader.batch_size': 6,
            f'{branch}.backbone.channels': [4, 4, 8], f'{branch}.backbone.strided_units': [2],
            f'{branch}.projector.in_channels': 8, f'{branch}.projector.hidden_channels': 8,
            f'{branch}.projector.out_channels': 4, f'{branch}.memory.dim': 4, f'{branch}.memory.size': 16,
            'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1, 'default_hooks.checkpoint.interval': 1,
            'env_cfg.cudnn_benchmark': False, 'param_scheduler.milestones': [1],
            'test_evaluator.1.epochs': 10, 'test_evaluator.1.lr': 0.1}
        if 'actclr' in config:
            small[f'{branch}.stage_epochs'] = (1, 1)
        return {**small, **more}

    return options


@pytest.fixture(scope='session')
def tiny_config(tiny_options) -> Callable[..., Any]:
    """Loads one of the ntu60 configs at the size of :func:`tiny_options`."""
    from mmactclr.utils import load_config

    def load(data_root: Path, config: str = 'actclr_joint_ntu60_xsub', **more: Any):
        cfg = load_config(config, tiny_options(data_root, config, **more))
        # mmengine shares loggers and histories between runs of one name that start in the same second
        cfg.experiment_name = f'tiny_{next(_COUNTER)}'
        return cfg

    return load
