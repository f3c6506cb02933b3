"""The built-in synthetic set as an archive."""
import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mmactclr.datasets.archive import SkeletonArchive
from mmactclr.datasets.archive_writer import ArchiveWriter
from mmactclr.datasets.synthetic import FPS, LAYOUT, Nuisance, make_synthetic
from mmactclr.registry import CONVERTERS

from .base import BaseConverter


@CONVERTERS.register_module('synthetic')
class SyntheticConverter(BaseConverter):
    """The built-in synthetic set; needs no source, SRC is '-'."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Size, seed and every nuisance of the set."""
        parser.add_argument('--num-subjects', type=int, default=12, metavar='N')
        parser.add_argument('--repeats', type=int, default=4, metavar='N',
                            help='sequences of every subject and class')
        parser.add_argument('--num-cameras', type=int, default=3, metavar='N')
        parser.add_argument('--seed', type=int, default=0)
        nuisances = parser.add_argument_group(
            'what varies within a class', 'see mmactclr.datasets.synthetic.Nuisance')
        for nuisance in fields(Nuisance):
            default: Any = nuisance.default
            pair = isinstance(default, tuple)
            nuisances.add_argument(
                f'--{nuisance.name}', type=type(default[0] if pair else default), nargs=2 if pair else None,
                default=default,
                metavar=('LOW', 'HIGH') if pair else 'X', help='default: %(default)s')

    def convert(self, src: str | Path, dst: str | Path, *, overwrite: bool = False,
                strict: bool = False, num_subjects: int = 12, repeats: int = 4,
                num_cameras: int = 3, seed: int = 0,
                **nuisances: Any) -> SkeletonArchive:
        """Generates the set and writes it, with columns ``subject`` and ``camera``.

        The arguments are those of :func:`make_synthetic` and of :class:`Nuisance`. They are kept
        in the metadata under ``extra``, so that the set can be made again with its moving joints;
        ``src`` is not read.

        Raises:
            ConfigError: The arguments cannot make a set with both splits.
        """
        nuisance = _nuisance(nuisances)
        size = dict(num_subjects=num_subjects, repeats=repeats, num_cameras=num_cameras, seed=seed)
        made = make_synthetic(**size, nuisance=nuisance)
        with ArchiveWriter(dst, LAYOUT, classes=made.classes, fps=FPS, unit='m',
                           source='mmactclr, generated', licence='Apache-2.0',
                           extra={**size, 'nuisance': asdict(nuisance)}, overwrite=overwrite,
                           strict=strict) as writer:
            for i in self.track(range(len(made)), 'writing'):
                writer.add(made.sequences[i], label=made.label[i], subject=made.subject[i],
                           camera=made.camera[i])
            return writer.finish(made.splits)


def _nuisance(values: Mapping[str, Any]) -> Nuisance:
    """Ranges as the command line gives them, lists, are tuples."""
    ranges: dict[str, Any] = {name: tuple(value) if isinstance(value, Sequence) else value
                              for name, value in values.items()}
    return Nuisance(**ranges)
