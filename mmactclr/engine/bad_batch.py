"""Which sequences of a batch hold numbers that are not finite."""
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from mmactclr.models import BaseAlgorithm


@torch.no_grad()
def describe_batch(method: BaseAlgorithm, dataset: Any, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every sequence of a batch, and whether its numbers are finite.

    The augmented views are made again: they are a function of seed, epoch, iteration and sequence, so they are those
    of the step.

    Args:
        method: The method, standing where the step was taken.
        dataset: Training set that the batch comes from.
        batch: Batch of the loader, ``inputs`` (N, M, T, V, C) unless the device keeps them.

    Returns:
        N dicts: ``name`` (None where the data set does not tell), ``index`` in the archive, ``data_finite``, the
        largest coordinate ``max_abs`` in metres, and ``views_not_finite``, names of views such as ``motion.query``.
    """
    index = _positions(batch)
    samples: list[dict[str, Any]] = [
        dict(name=_name_of(dataset, i), index=i, data_finite=True, max_abs=None, views_not_finite=[])
               for i in index]
    inputs = batch.get('inputs')
    resident = getattr(method.data_preprocessor, 'resident', None)
    if inputs is None and resident is not None:
        inputs = resident.take(batch['index'].to(resident.row_of.device))['inputs']
    if inputs is None:
        return samples
    largest = inputs.abs().flatten(1).amax(1).float()
    for sample, value, finite in zip(samples, largest.tolist(), _finite_rows(inputs), strict=True):
        sample.update(data_finite=finite, max_abs=value)
    for stream, views in method.training_views(batch)['inputs'].items():
        for name, view in views.items():
            for sample, finite in zip(samples, _finite_rows(view), strict=True):
                if not finite:
                    sample['views_not_finite'].append(f'{stream}.{name}')
    return samples


def _name_of(dataset: Any, index: int) -> str | None:
    if hasattr(dataset, 'name_of'):
        return dataset.name_of(index)
    names = getattr(dataset, 'metainfo', {}).get('names', ())
    return str(names[index]) if 0 <= index < len(names) else None


def _positions(batch: Mapping[str, Any]) -> list[int]:
    # windows of long sequences say which sequence they are from
    return [int(i) for i in batch.get('sequence', batch['index'])]


def _finite_rows(values: Tensor) -> list[bool]:
    return torch.isfinite(values.flatten(1)).all(1).tolist()


def culprits(samples: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of :func:`describe_batch` whose data are not finite; if all data are, those whose views are not.

    Mixing carries what is wrong with one sequence into the views of its partner.
    """
    samples = list(samples)
    wrong = [sample for sample in samples if not sample['data_finite']]
    return wrong or [sample for sample in samples if sample['views_not_finite']]
