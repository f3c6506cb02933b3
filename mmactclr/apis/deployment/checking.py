"""Whether an exported file gives what the model gives, on inputs of any batch and length."""
import importlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmactclr.errors import ConfigError, ExportError
from mmactclr.models import ActionletHead
from mmactclr.models.algorithms.actclr import find_actionlet
from mmactclr.models.algorithms.base import BaseAlgorithm

# largest difference of an output from the model's, relative to the largest value of that output
TOLERANCE = 1e-4
# batches and lengths of the long check, beside those of the model
BATCHES, LENGTHS = (1, 3), (17, 50, 120)
# how rounding is imitated, and how much more a file may differ
_MILLIONTH, _TRIALS, _ROUNDING_MARGIN = 1e-6, 3, 5


def import_for_deployment(name: str) -> ModuleType:
    """A package that only deployment needs.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f'deployment needs the package {name}, which is not installed: pip install {name} (or '
                          'mmactclr[deploy])') from error


def open_session(path: str | Path) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Raises:
        ConfigError: If onnxruntime is not installed.
        ExportError: If it cannot run the file.
    """
    runtime = import_for_deployment('onnxruntime')
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        return runtime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # its errors have no common base besides
        raise ExportError(f'{path}: onnxruntime {runtime.__version__} cannot run it ({_first_line(error)}); try '
                          'another --opset') from error


def random_input(shape: tuple[int, int, int, int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Joints (N, M, T, V, C) that move smoothly, and a mask in which somebody is absent wherever N or M allow it.

    Of three or more sequences the last has nobody at all, the one before only its second person.
    """
    n, persons, _, _, _ = shape
    generator = torch.Generator().manual_seed(seed)
    keypoint = 0.5 * torch.randn(*shape[:2], 1, *shape[3:], generator=generator)
    keypoint = keypoint + 0.05 * torch.randn(shape, generator=generator).cumsum(2)
    mask = torch.ones(n, persons, dtype=torch.bool)
    mask[::2, 1:] = False
    if n > 2:
        mask[-2, 0], mask[-1] = persons == 1, False
    return keypoint * mask[:, :, None, None, None], mask


@torch.no_grad()
def reference_outputs(model: BaseAlgorithm, keypoint: Tensor, mask: Tensor, names: Iterable[str],
                      anchor: Tensor | None = None) -> dict[str, Tensor]:
    """What the model itself gives, by its own code with automatic differentiation, for outputs of these names."""
    features = model.extract(keypoint, mask)
    found = {}
    for name in names:
        if name == 'embedding':
            pooled = features['backbone']
            found[name] = pooled if pooled.ndim == 2 else pooled.mean(2)
        elif name.startswith('actionlet'):
            branches = model.branches()
            branch = branches[name.removeprefix('actionlet_')] if '_' in name else next(iter(branches.values()))
            found[name] = branch.actionlet(keypoint, mask) if anchor is None else find_actionlet(
                branch, ActionletHead(branch.layout), keypoint, mask, anchor)
        else:
            found[name] = features[name]
    return found


def differences(session: Any, model: BaseAlgorithm, keypoint: Tensor, mask: Tensor,
                anchor: Tensor | None = None) -> dict[str, float]:
    """Largest difference of each output of a file from the model's, relative to the output's largest value.

    Args:
        session: Of :func:`open_session`.
        model: In eval mode, on the CPU.
        keypoint: (N, M, T, V, C) prepared joints, zero for absent persons.
        mask: (N, M) persons present.
        anchor: (M, T, V, C) joints that actionlets are found against, in place of the model's own.

    Raises:
        ExportError: If onnxruntime cannot run this input, or shapes differ.
    """
    names = [output.name for output in session.get_outputs()]
    try:
        values = dict(zip(names, session.run(None, {'keypoint': keypoint.numpy(), 'mask': mask.numpy()}), strict=True))
    except Exception as error:  # as above
        raise ExportError(f'onnxruntime cannot run the file on keypoint {tuple(keypoint.shape)}: the model does '
                          f'something that depends on batch or length ({_first_line(error)}); no file was written'
                          ) from error
    found = {}
    for name, expected in reference_outputs(model, keypoint, mask, names, anchor).items():
        if values[name].shape != tuple(expected.shape):
            raise ExportError(f'output {name!r} has shape {values[name].shape} for keypoint {tuple(keypoint.shape)}, '
                              f'the model gives {tuple(expected.shape)}: it does something that depends on batch or '
                              'length; no file was written')
        largest = float(expected.abs().max())
        found[name] = float(np.abs(values[name] - expected.numpy()).max()) / (largest or 1.)
    return found


def check_parity(found: Mapping[str, float], model: BaseAlgorithm, keypoint: Tensor, mask: Tensor,
                 anchor: Tensor | None = None) -> None:
    """Refuse differences above :data:`TOLERANCE`, and those that are no numbers.

    An output that rounding alone moves further than that is held to what rounding does to it: the actionlet of a model
    whose projections are all nearly that of the anchor is a small difference of large numbers, in PyTorch as in the
    file. The log says so.

    Args:
        found: Of :func:`differences` for the other arguments.
        model: As there.
        keypoint: As there.
        mask: As there.
        anchor: As there.

    Raises:
        ExportError: The message names output, difference and input.
    """
    beyond = [name for name, difference in found.items() if not difference <= TOLERANCE]
    rounding = sensitivities(model, keypoint, mask, beyond, anchor) if beyond else {}
    for name in beyond:
        if found[name] <= _ROUNDING_MARGIN * rounding[name]:
            print_log(f'output {name!r} is badly conditioned: changing joints and weights by a millionth changes what '
                      f'the model itself gives by {rounding[name]:.1e} of its largest value; the file differs by '
                      f'{found[name]:.1e}', logger='current', level=logging.WARNING)
            continue
        raise ExportError(
            f'output {name!r} differs from the model by {found[name]:.2g} of its largest value on keypoint '
            f'{tuple(keypoint.shape)} (N, M, T, V, C), expected at most {TOLERANCE:g}: the model does something that '
            'depends on batch or length, or that the exporter translates wrongly; no file was written')


def sensitivities(model: BaseAlgorithm, keypoint: Tensor, mask: Tensor, names: Sequence[str],
                  anchor: Tensor | None = None) -> dict[str, float]:
    """How far outputs of the model move, relative to their largest value, by what rounding does.

    Joints and weights change by a millionth of theirs, up or down at random: weights because a layer's result is
    rounded as much as its input.
    """
    expected = reference_outputs(model, keypoint, mask, names, anchor)
    generator = torch.Generator().manual_seed(0)

    def shake(values: Tensor) -> Tensor:
        return values * (1 + _MILLIONTH * (torch.randint(0, 2, values.shape, generator=generator) * 2 - 1))

    moved = dict.fromkeys(names, 0.)
    for _ in range(_TRIALS):
        shaken = deepcopy(model)
        for parameter in shaken.parameters():
            parameter.data = shake(parameter.data)
        found = reference_outputs(shaken, shake(keypoint), mask, names, anchor)
        for name in names:
            largest = float(expected[name].abs().max()) or 1.
            moved[name] = max(moved[name], float((found[name] - expected[name]).abs().max()) / largest)
    return moved


def _first_line(error: Exception) -> str:
    return str(error).strip().partition('\n')[0][:300]
