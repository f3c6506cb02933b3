"""Annotation pickles of pyskl and its relatives (mmaction2): one file with all sequences of a data set.

``dict(split=dict(xsub_train=[names], xsub_val=[names]), annotations=[dict(frame_dir=name, label, total_frames,
keypoint=(M, T, V, 2 or 3), keypoint_score=(M, T, V), img_shape, ...)])``, or the bare list of annotations.
"""
import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.splits import split_counts
from mmactclr.errors import DataError
from mmactclr.registry import CONVERTERS
from mmactclr.structures.layouts import Layout
from mmactclr.utils.safe_pickle import read_pickle

from .annotations import (
    annotation_columns,
    annotation_keypoint,
    annotation_label,
    annotation_name,
    shown,
    splits_of,
)
from .base import BaseConverter
from .conventions import add_layout_and_classes, as_float32, choose_layout, class_names, usual_unit

#: Key beside ``annotations`` under which the exporter keeps what an annotation has no field for.
ABOUT = 'archive'
# of a layout; the largest has some hundreds
_MOST_VALUES = 10_000


@CONVERTERS.register_module('pyskl')
class PysklConverter(BaseConverter):
    """Annotation pickles of pyskl: 3-D joints or joints of a pose estimator."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options for what the file does not say."""
        add_layout_and_classes(parser)

    def convert(self, src: str | Path, dst: str | Path, *, overwrite: bool = False, strict: bool = False,
                layout: str | None = None, classes: str | Path | None = None) -> SkeletonArchive:
        """Converts one file; nothing in it is run.

        Raises:
            DataError: The file is missing, damaged, holds more than arrays and plain values, or contradicts itself.
            ConfigError: The layout cannot be told, or the names of the classes do not fit.
        """
        src = Path(src)
        annotations, lists, about = _content(src, read_pickle(src))
        places = [f'{src}: annotations[{i}]' for i in range(len(annotations))]
        names = [annotation_name(each, place) for each, place in zip(annotations, places, strict=True)]
        places = [f'{place} ({name[:80]!r})' for name, place in zip(names, places, strict=True)]
        labels = [annotation_label(each, place) for each, place in zip(annotations, places, strict=True)]
        splits, unknown = splits_of(lists, names, str(src))
        _report(src, splits, unknown)
        splits = {name: split for name, split in splits.items() if all(split_counts(split).values())}
        found = _layout(src, annotation_keypoint(annotations[0], places[0]), layout, about)
        columns = _shared_columns(annotations)
        about = _about(src, found, annotations[0]['keypoint'].shape[3], about)
        about['classes'] = class_names(src, labels, classes, found, about['classes'])
        with ArchiveWriter(dst, found, overwrite=overwrite, strict=strict, **about) as writer:
            for i in self.track(range(len(annotations)), f'converting {src.name}'):
                keypoint = annotation_keypoint(annotations[i], places[i])
                if keypoint.shape[2] != found.num_joints:
                    raise DataError(f'{places[i]}: keypoint has {keypoint.shape[2]} joints, layout {found.name!r} has '
                                    f'{found.num_joints}')
                writer.add(as_float32(keypoint), label=labels[i], name=names[i],
                           **{key: values[i] for key, values in columns.items()})
            return writer.finish(splits)


def _content(src: Path, content: Any) -> tuple[list[dict], dict[str, Any], dict[str, Any]]:
    """Annotations, lists of the splits, and what the exporter noted."""
    lists, about = {}, {}
    if isinstance(content, dict):
        lists, about = content.get('split', {}), content.get(ABOUT, {})
        content = content.get('annotations')
    if not isinstance(lists, dict) or not isinstance(about, dict):
        raise DataError(f'{src}: split is {shown(lists)}, expected a dict such as xsub_train=[names], xsub_val=[names]')
    if not isinstance(content, list) or not content:
        raise DataError(f'{src}: annotations is {shown(content)}, expected a list of annotations, or a dict with split '
                        'and annotations')
    for i, each in enumerate(content):
        if not isinstance(each, dict):
            raise DataError(f'{src}: annotations[{i}] is {shown(each)}, expected a dict with frame_dir, keypoint, ...')
    return content, lists, about


def _report(src: Path, splits: Mapping[str, np.ndarray], unknown: Mapping[str, list[str]]) -> None:
    for key, missing in unknown.items():
        print_log(f'{src.name}: split {key!r} names {len(missing)} sequences that have no annotation, such as '
                  f'{shown(missing[0])}', logger='current', level=logging.WARNING)
    for name, split in splits.items():
        counts = split_counts(split)
        if not all(counts.values()):
            print_log(f'no split {name!r}: it would have {counts["train"]} train and {counts["test"]} test sequences',
                      logger='current', level=logging.WARNING)


def _layout(src: Path, keypoint: np.ndarray, asked: str | None, about: Mapping[str, Any]) -> Layout:
    joints, axes = keypoint.shape[2:]
    if asked is None and 'layout' in about:
        try:
            if not isinstance(about['layout'], dict):
                raise TypeError('no dict')
            _check_tree(about['layout'])
            return Layout.from_dict(about['layout'])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f'{src}: {ABOUT}.layout is damaged ({error}): pass --layout') from error
    return choose_layout(src, joints, axes, asked)


def _check_tree(value: Any) -> None:
    """Refuses what is not of lists, text and numbers, or has no end: lists in a pickle can contain themselves.

    Raises:
        TypeError: It is so.
    """
    waiting, left = [value], _MOST_VALUES
    while waiting:
        item, left = waiting.pop(), left - 1
        if isinstance(item, (list, tuple, dict)):
            waiting += [*item, *item.values()] if isinstance(item, dict) else item
        elif type(item) not in (str, int):
            raise TypeError(f'a {type(item).__name__} in it')
        if left < len(waiting):
            raise TypeError(f'more than {_MOST_VALUES} values')


def _about(src: Path, layout: Layout, axes: int, about: Mapping[str, Any]) -> dict[str, Any]:
    """What the archive says of itself; a field that the exporter did not note, or not so, has its default."""
    found: dict[str, Any] = dict(classes=[], unit=usual_unit(layout, axes), source=src.name, licence='')
    for key, default in found.items():
        value = about.get(key, default)
        found[key] = value if isinstance(value, type(default)) else default
    if not all(isinstance(name, str) for name in found['classes']):
        found['classes'] = []
    fps: Any = about.get('fps')
    found['fps'] = fps if type(fps) in (int, float) and 0 < fps < float('inf') else None
    return found


def _shared_columns(annotations: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Columns that every annotation has, in one kind each."""
    rows = [annotation_columns(each) for each in annotations]
    shared = {key: [row[key] for row in rows] for key in rows[0] if all(key in row for row in rows)}
    return {key: values for key, values in shared.items() if len({isinstance(value, str) for value in values}) == 1}
