"""What formats go by that name neither joints nor classes nor units."""
import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.ntu_classes import NTU60_CLASSES, NTU120_CLASSES
from mmactclr.errors import ConfigError
from mmactclr.structures.layouts import Layout, get_layout, list_layouts

# (joints, coordinates) that tell the layout
_LAYOUTS = {(25, 3): 'ntu25', (17, 2): 'coco17'}
_NTU_CLASSES = {len(names): names for names in (NTU60_CLASSES, NTU120_CLASSES)}


def add_layout_and_classes(parser: argparse.ArgumentParser) -> None:
    """Options of formats that name neither joints nor classes."""
    parser.add_argument('--layout', metavar='NAME', help='joints of the data, where their number does not tell: '
                        f'{", ".join(list_layouts())}')
    parser.add_argument('--classes', metavar='FILE', help='text file with the name of a class a line, the first for '
                        'label 0; default: those of NTU RGB+D where layout and number fit, else numbers')


def as_float32(keypoint: np.ndarray) -> np.ndarray:
    """float32; what it cannot hold becomes infinite, which the writer of the archive leaves out by name."""
    with np.errstate(over='ignore'):
        return keypoint.astype(np.float32)


def class_names(src: Path, labels: Sequence[int], file: str | Path | None, layout: Layout,
                known: Sequence[str] = ()) -> list[str]:
    """Names of classes: from ``file``, or known, or those of NTU RGB+D where layout and number fit, or numbers.

    Raises:
        ConfigError: The file cannot be read or has fewer lines than there are labels.
    """
    count = max(labels, default=-1) + 1
    if file is None:
        if known or not count:
            return list(known)
        if layout.name == 'ntu25' and count in _NTU_CLASSES:
            return list(_NTU_CLASSES[count])
        print_log(f'{src.name}: classes are named by their number; pass --classes to name them', logger='current')
        return [f'class_{k}' for k in range(count)]
    try:
        names = [line.strip() for line in Path(file).read_text(encoding='utf-8').splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'--classes {file} cannot be read ({error}): expected a text file, a name a line') from error
    if len(names) < count:
        raise ConfigError(f'--classes {file} has {len(names)} names, the labels of {src} go up to {count - 1}: '
                          f'expected {count} or more')
    return names


def choose_layout(src: Path, joints: int, axes: int, asked: str | None) -> Layout:
    """The layout asked for, or the one that is usual for so many joints and coordinates.

    Raises:
        ConfigError: None is usual, or the one asked for has another number of joints.
    """
    name = asked or _LAYOUTS.get((joints, axes))
    if name is None:
        raise ConfigError(f'{src}: {joints} joints with {axes} coordinates are of no layout in particular: pass '
                          f'--layout, one of {", ".join(list_layouts())}')
    layout = get_layout(name)
    if layout.num_joints != joints:
        raise ConfigError(f'--layout {name} has {layout.num_joints} joints, {src} has {joints}: choose another layout')
    return layout


def usual_unit(layout: Layout, axes: int) -> str:
    """Unit of coordinates that come without one: image coordinates are pixels, those of NTU RGB+D metres."""
    return 'pixel' if axes == 2 else 'm' if layout.name == 'ntu25' else 'unknown'
