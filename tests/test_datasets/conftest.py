"""Small archives and flat npz files to break."""
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmactclr.datasets import ArchiveWriter, SkeletonArchive
from mmactclr.structures.layouts import get_layout

LAYOUT = get_layout('kinect20_utdmhad')
LENGTHS = (12, 1, 7, 30, 5, 9)


def motion(frames: int, persons: int = 1, seed: int = 0, joints: int = LAYOUT.num_joints,
           axes: int = 3) -> np.ndarray:
    """(M, T, V, C) smooth random motion."""
    steps = np.random.default_rng(seed).normal(size=(persons, frames, joints, axes))
    return (steps.cumsum(1) * .01 + steps[:, :1]).astype(np.float32)


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[..., SkeletonArchive]:
    """Writes an archive of six sequences; two persons in every third."""

    def make(name: str = 'archive', split: tuple[str, ...] = ('train', 'test', '') * 2,
             seed: int = 0) -> SkeletonArchive:
        with ArchiveWriter(tmp_path / name, LAYOUT, classes=['wave', 'nod', 'bow'], fps=30,
                           source='made up', licence='none') as writer:
            for i, frames in enumerate(LENGTHS):
                writer.add(motion(frames, 1 + (i % 3 == 2), seed + i), label=i % 3,
                           name=f'take{i}', subject=i + 1)
            return writer.finish({'xsub': split})

    return make


def flat_fields(**changes: Any) -> dict[str, np.ndarray]:
    """Arrays of a flat npz of six sequences, with fields replaced, or left out where None."""
    rows = [motion(frames, seed=i)[0] for i, frames in enumerate(LENGTHS)]
    fields = dict(
        keypoint=np.concatenate(rows)[:, None], offsets=np.cumsum([0, *LENGTHS]),
        label=np.arange(6) % 3, subject=np.arange(6, dtype=np.int16),
        class_names=np.array(['wave', 'nod', 'bow']), name=np.array([f'take{i}' for i in range(6)]),
        joint_names=np.array(LAYOUT.joints), edges=np.array(LAYOUT.bones)[:, ::-1],
        fps=np.float32(30), units=np.array('metres'), split_xsub=np.array(['train', 'test'] * 3))
    fields.update(changes)
    return {key: value for key, value in fields.items() if value is not None}


@pytest.fixture
def flat_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a flat npz; keyword arguments replace fields, None leaves one out."""

    def write(**changes: Any) -> Path:
        path = tmp_path / 'flat.npz'
        np.savez(path, **flat_fields(**changes))
        return path

    return write


@pytest.fixture(scope='session')
def tool(repo_root: Path) -> Callable[[str, Any], int]:
    """Runs the ``main`` of a tool in tools/dataset_converters and returns its exit status."""

    def run(name: str, *arguments: Any) -> int:
        spec = importlib.util.spec_from_file_location(
            name, repo_root / 'tools' / 'dataset_converters' / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main([str(argument) for argument in arguments])

    return run
