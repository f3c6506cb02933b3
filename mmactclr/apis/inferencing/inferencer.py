"""One object from a recording to an answer."""
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.utils import track_iter_progress
from torch import Tensor

from mmactclr.apis.inference import init_model
from mmactclr.datasets.segmentation_dataset import window_starts
from mmactclr.engine.checkpoints import ModelCard, card_of_config
from mmactclr.errors import ConfigError, DataError
from mmactclr.models import ActCLR, ActionletHead
from mmactclr.models.algorithms.actclr import find_actionlet
from mmactclr.models.algorithms.base import FRAME_SCORE, SCORE
from mmactclr.structures import Layout
from mmactclr.transforms import prepare
from mmactclr.transforms.adaptation import METRES, SkeletonAdapter, fit_adapter
from mmactclr.utils import load_config
from mmactclr.utils.cli import spelt

from .arguments import UNKNOWN, check_count, check_factor, say
from .recordings import Recording, read_recordings
from .results import Inference

# recordings that take longer than so many of the model's frames hold more than one action in all likelihood
_LONG = 20
# steps that are over before a progress bar is read
_SILENT = 4


class SkeletonInferencer:
    """Classes, embedding and actionlet of recordings of any joints, by the model of a checkpoint.

    The checkpoint says which joints, frames, persons and preparation the model takes; recordings of other joints, units
    or axes are brought to them, see :class:`~mmactclr.transforms.SkeletonAdapter`.

    Args:
        checkpoint: Checkpoint of :func:`tools/train.py`, or a converted public one.
        config: Config of the model, where the checkpoint has no card.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        batch_size: Windows encoded at once.

    Attributes:
        model (nn.Module): In eval mode.
        layout (Layout): Joints that the model takes.
        classes (tuple[str, ...]): Those that the model tells apart; empty without a classifier.

    Raises:
        ConfigError: If the device cannot be used, or neither checkpoint nor config say what the model is.
        DataError: If the checkpoint cannot be read.

    Example:
        >>> inferencer = SkeletonInferencer('work_dirs/linear/epoch_100.pth')   # doctest: +SKIP
        >>> result = inferencer('my_recording.csv')[0]                          # doctest: +SKIP
        >>> result.label, result.embedding.shape                                # doctest: +SKIP
    """

    def __init__(self, checkpoint: str | Path, config: str | Path | None = None, device: str | torch.device = 'cpu',
                 batch_size: int = 64) -> None:
        check_count('SkeletonInferencer: batch_size', batch_size)
        self.model = init_model(config, checkpoint, device)
        card = self.model.card or (card_of_config(load_config(config)) if config is not None else None)
        if not isinstance(card, ModelCard):
            raise ConfigError(f'{checkpoint}: neither checkpoint nor config say which joints the model takes; name the '
                              'config it was trained with')
        self.card, self.source, self.batch_size = card, str(checkpoint), batch_size
        self.device = torch.device(device)
        self.layout: Layout = card.joint_layout()
        self.classes = tuple(card.classes)
        self._anchor: Tensor | None = None

    @property
    def scores_frames(self) -> bool:
        """Whether the model is a segmentor, which scores every frame of a window."""
        return any(hasattr(branch, '_score') for branch in self.model.branches().values())

    @property
    def anchor(self) -> Tensor | None:
        """(M, T, V, C) prepared joints of :meth:`use_anchor`, None before."""
        return self._anchor

    def __call__(self, source: Any, layout: str | Mapping[str, Any] | Layout | None = None, unit: str | None = None,
                 up: str | None = None, metres_per_unit: float | None = None, window: int | None = None,
                 hop: int | None = None, actionlet: bool = True, progress: bool = True,
                 options: Mapping[str, Any] | None = None) -> list[Inference]:
        """Look at recordings.

        Args:
            source: As for :func:`read_recordings`. Arrays have the joints of the model unless ``layout`` says more.
            layout: Joints of arrays, and of files that do not name theirs.
            unit: Unit of arrays and of files that do not name theirs, such as ``cm``; ``unknown`` is estimated.
            up: Axis that points up, such as ``+z``. For joints of the model it is ``+y`` unless given; for others it is
                estimated from hips and shoulders.
            metres_per_unit: In place of the unit, not beside it.
            window: Frames of a window that slides over each recording; None takes it as one action, resized to the
                frames of the model. A segmentor's window is that of its training.
            hop: Frames from one window to the next; half a window if None.
            actionlet: Whether actionlets are wanted; they double the time.
            progress: Show a progress bar where there is much to do.
            options: Arguments of the converter of a file.

        Returns:
            One result for every recording, in order.

        Raises:
            ConfigError: If an argument does not fit the model or the recordings.
            DataError: If a recording cannot be read or used, or what the model says of it is not finite.
        """
        window, hop = self.window_of(window, hop)
        if unit is not None and metres_per_unit is not None:
            raise ConfigError(f'unit is {unit!r} and metres_per_unit {metres_per_unit!r}: give one of them')
        recordings = self.read(source, layout, unit, options)
        adapt = self.adapters(recordings, up, metres_per_unit)
        notes = [self.notes(*each, window) for each in zip(recordings, adapt, strict=True)]
        say(zip((recording.name for recording in recordings), notes, strict=True), set())
        clips = [Clip(i, start, end) for i, recording in enumerate(recordings)
                 for start, end in _windows(recording.num_frames, window, hop)]
        batches = [clips[i:i + self.batch_size] for i in range(0, len(clips), self.batch_size)]
        shown = track_iter_progress(batches, file=sys.stderr) if progress and len(batches) > _SILENT else batches
        found: list[list[tuple[Clip, dict[str, np.ndarray]]]] = [[] for _ in recordings]
        for batch in shown:
            joints = [adapt[c.recording](self._persons(recordings[c.recording], c)) for c in batch]
            for clip, part in zip(batch, self.look(joints, actionlet, [c.end - c.start for c in batch]), strict=True):
                found[clip.recording].append((clip, part))
        return [self._gather(*each) for each in zip(recordings, found, notes, strict=True)]

    def read(self, source: Any, layout: str | Mapping[str, Any] | Layout | None = None, unit: str | None = None,
             options: Mapping[str, Any] | None = None) -> list[Recording]:
        """Recordings as for :func:`read_recordings`; arrays have the joints of the model unless ``layout`` says so."""
        return read_recordings(source, layout, unit, options, self.layout)

    def infer(self, recording: Recording, adapter: SkeletonAdapter, actionlet: bool = False) -> Inference:
        """Look at one recording as one action, with an adapter of :meth:`adapters`."""
        clip = Clip(0, 0, recording.num_frames)
        parts = self.look([adapter(self._persons(recording, clip))], actionlet, [recording.num_frames])
        return self._gather(recording, [(clip, parts[0])], self.notes(recording, adapter))

    def notes(self, recording: Recording, adapter: SkeletonAdapter, window: int | None = None) -> tuple[str, ...]:
        """What is done to a recording and what is odd about it, a line each."""
        asked = recording.unit == UNKNOWN and 'scale' in adapter.estimated
        hint = f'; give {spelt("unit=", "--unit")} if you know it' if asked else ''
        notes = [] if adapter.changes_nothing else [adapter.summary() + hint]
        persons, frames = recording.num_persons, recording.num_frames
        if persons > self.card.max_persons:
            notes.append(f'{persons} persons, the model takes {self.card.max_persons}: the first are looked at')
        if window is None and frames > _LONG * self.card.num_frames:
            notes.append(f'{frames} frames taken as one action; '
                         + spelt('window={0}', '--window {0}').format(self.card.num_frames) + ' looks at parts')
        return (*notes, *adapter.doubts)

    def _persons(self, recording: Recording, clip: 'Clip') -> np.ndarray:
        """Joints of a clip; of more persons than the model takes the first who are seen in it."""
        clip.persons = seen_persons(recording.keypoint[:, clip.start:clip.end], self.card.max_persons)
        return recording.keypoint[clip.persons, clip.start:clip.end]

    def adapters(self, recordings: Sequence[Recording], up: str | None = None,
                 metres_per_unit: float | None = None) -> list[SkeletonAdapter]:
        """What brings each recording to the joints of the model; those of one set-up share theirs.

        Raises:
            ConfigError: If layouts have no joint in common, or an option is out of range.
            DataError: If axes or unit are to be estimated and nobody is seen with shoulders and hips.
        """
        if metres_per_unit is not None:
            check_factor('metres_per_unit', metres_per_unit)
        groups: dict[tuple[Layout, str, int], list[int]] = {}
        for i, recording in enumerate(recordings):
            groups.setdefault((recording.layout, recording.unit, recording.keypoint.shape[-1]), []).append(i)
        found: dict[int, SkeletonAdapter] = {}
        for (layout, unit, axes), members in groups.items():
            sequences = [recordings[i].keypoint for i in members]
            same = (layout.joints, layout.bones) == (self.layout.joints, self.layout.bones)
            if same and axes == 3 and unit in METRES:
                # of the model's own joints nothing is estimated, though what speaks against it is said
                adapter = fit_adapter(sequences, layout, self.layout, unit, up or '+y', metres_per_unit, mirrored=False)
            else:
                adapter = fit_adapter(sequences, layout, self.layout, unit, up, metres_per_unit)
            found.update(dict.fromkeys(members, adapter))
        return [found[i] for i in range(len(recordings))]

    def use_anchor(self, source: Any, **arguments: Any) -> None:
        """Find actionlets against the mean motion of recordings, for models that have no anchor of their own.

        Args:
            source: Recordings, as many and as different as can be had.
            arguments: As for calling the inferencer: ``layout``, ``unit``, ``up``, ``metres_per_unit``, ``options``.
        """
        recordings = self.read(source, *(arguments.pop(name, None) for name in ('layout', 'unit', 'options')))
        adapt = self.adapters(recordings, **arguments)
        say(((recording.name, adapter.doubts) for recording, adapter in zip(recordings, adapt, strict=True)), set())
        joints, _ = self._prepare([adapter(self._persons(recording, Clip(i, 0, recording.num_frames)))
                                   for i, (adapter, recording) in enumerate(zip(adapt, recordings, strict=True))])
        self._anchor = joints.double().mean(0).float().to(self.device)

    @torch.no_grad()
    def look(self, joints: Sequence[np.ndarray], actionlet: bool, lengths: Sequence[int]
             ) -> list[dict[str, np.ndarray]]:
        """Features of clips (M_i, T_i, V, C) that have the joints of the model, each by what it is.

        Args:
            joints: Clips in metres, y up.
            actionlet: Whether actionlets are wanted.
            lengths: Frames that scores of frames and actionlets are brought to, for every clip.
        """
        keypoint, mask = self._prepare(joints)
        keypoint, mask = keypoint.to(self.device), mask.to(self.device)
        features = self.model.extract(keypoint, mask)
        raw = self._actionlets(keypoint, mask) if actionlet else None
        found = []
        for i, length in enumerate(lengths):
            part = {'embedding': _pooled(features['backbone'][i])}
            if SCORE in features and self.classes:
                part['score'] = features[SCORE][i].float().softmax(0)
            if FRAME_SCORE in features:
                part['frame_score'] = features[FRAME_SCORE][i].float().softmax(1)[:length]
            if raw is not None:
                maps = F.interpolate(raw[i].transpose(1, 2), length, mode='linear', align_corners=True)
                part['actionlet'] = maps.transpose(1, 2)
            found.append({name: value.float().cpu().numpy() for name, value in part.items()})
        return found

    def _prepare(self, joints: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        steps = self.card.preparation_steps()
        if self.scores_frames:
            # windows keep their rate; a shorter one is continued by its last frame
            steps = [step for step in steps if step['type'].rpartition('.')[2] != 'ResizeFrames']
            total = self.card.num_frames
            joints = [clip[:, np.arange(total).clip(max=clip.shape[1] - 1)] for clip in joints]
        return prepare(joints, self.layout, self.card.num_frames, self.card.max_persons, steps)

    def _actionlets(self, keypoint: Tensor, mask: Tensor) -> Tensor | None:
        """Raw actionlets (N, M, T', V) of the first stream, None where there is nothing to find them against."""
        branch = next(iter(self.model.branches().values()))
        if self._anchor is not None and hasattr(branch, 'layout'):
            head = ActionletHead(branch.layout).to(self.device)
            with torch.enable_grad():
                return find_actionlet(branch, head, keypoint, mask, self._anchor).detach()
        if isinstance(branch, ActCLR) and bool(branch.anchor_ready):
            with torch.enable_grad():
                return branch.actionlet(keypoint, mask).detach()
        return None

    def window_of(self, window: int | None, hop: int | None = None) -> tuple[int | None, int]:
        """Frames of a window, None for whole recordings, and from one to the next.

        Raises:
            ConfigError: If they are no positive whole numbers, hop is larger than window or given without one, or the
                model is a segmentor of another window.
        """
        for name, value in (('window', window), ('hop', hop)):
            if value is not None:
                check_count(name, value)
        if self.scores_frames:
            if window not in (None, self.card.num_frames):
                raise ConfigError(f'window is {window}, the segmentor was trained on windows of {self.card.num_frames} '
                                  'frames; leave window out')
            window = self.card.num_frames
        if window is None:
            if hop is not None:
                raise ConfigError(f'hop is {hop} and window is not given; hop is the step of a sliding window')
            return None, 1
        hop = max(window // 2, 1) if hop is None else hop
        if hop > window:
            raise ConfigError(f'window is {window} and hop {hop}; expected window 1 or more and hop 1 to window')
        return window, hop

    def _gather(self, recording: Recording, parts: list[tuple['Clip', dict[str, np.ndarray]]],
                notes: tuple[str, ...]) -> Inference:
        embeddings = np.stack([part['embedding'] for _, part in parts])
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        one = len(parts) == 1
        mean = embeddings[0] if one else (embeddings / np.where(lengths > 0, lengths, 1)).mean(0)
        frames = [(clip, part.get('frame_score', _spread(part.get('score'), clip))) for clip, part in parts]
        windowed = not one or self.scores_frames
        frame_score = _overlapped(frames, recording.num_frames) if windowed else None
        score = parts[0][1].get('score') if one else None
        if score is None and frame_score is not None:
            score = frame_score.mean(0)
        if not all(np.isfinite(values).all() for values in (embeddings, score) if values is not None):
            raise DataError(f'{recording.name}: what the model makes of it is not finite, so it says nothing; '
                            f'coordinates reach {np.abs(recording.keypoint).max():.3g} {recording.unit}')
        actionlet = _overlapped([(clip, _of_recorded(part['actionlet'], clip, len(recording.keypoint)))
                                 for clip, part in parts if 'actionlet' in part], recording.num_frames)
        classes = self.classes or tuple(f'class {k}' for k in range(0 if score is None else len(score)))
        return Inference(
            recording.name, mean.astype(np.float32), classes, score, frame_score, _relative(actionlet),
            np.array([(clip.start, clip.end) for clip, _ in parts], np.int64), embeddings.astype(np.float32), notes)


class Clip:
    """A window of one of several recordings.

    Args:
        recording: Its position.
        start: First frame.
        end: The frame after the last.

    Attributes:
        persons: Positions of those that are looked at among those of the recording.
    """

    def __init__(self, recording: int, start: int, end: int) -> None:
        self.recording, self.start, self.end = recording, start, end
        self.persons = np.zeros(0, np.int64)

def seen_persons(keypoint: np.ndarray, most: int) -> np.ndarray:
    """Positions of the persons of (M, T, V, C) that a model of so many takes: all, or the first who are seen."""
    if len(keypoint) <= most:
        return np.arange(len(keypoint))
    return np.flatnonzero(keypoint.any((1, 2, 3)))[:most]

def _windows(frames: int, window: int | None, hop: int) -> list[tuple[int, int]]:
    if window is None:
        return [(0, frames)]
    return [(start, min(start + window, frames)) for start in window_starts(frames, window, hop)]


def _pooled(feature: Tensor) -> Tensor:
    """(D,) of (D,), or of the cells (D, T') of a segmentor."""
    return feature if feature.ndim == 1 else feature.mean(1)


def _spread(score: np.ndarray | None, clip: Clip) -> np.ndarray | None:
    return None if score is None else np.broadcast_to(score, (clip.end - clip.start, len(score)))


def _overlapped(parts: Sequence[tuple[Clip, np.ndarray | None]], frames: int) -> np.ndarray | None:
    """Mean over the windows that hold a frame, of values (T_i, ...), as (T, ...)."""
    whole = [(clip, values) for clip, values in parts if values is not None]
    if not whole or len(whole) < len(parts):
        return None
    total = np.zeros((frames, *whole[0][1].shape[1:]))
    count = np.zeros(frames)
    for clip, values in whole:
        total[clip.start:clip.end] += values
        count[clip.start:clip.end] += 1
    return (total / count.reshape(-1, *[1] * (total.ndim - 1))).astype(np.float32)


def _of_recorded(actionlet: np.ndarray, clip: Clip, persons: int) -> np.ndarray:
    """(T, M', V) by persons of a recording, of (M, T, V) by those of a model; whom it did not look at has zero."""
    found = np.zeros((max(persons, len(actionlet)), *actionlet.shape[1:]), np.float32)
    if persons <= len(actionlet):
        found[:] = actionlet
    else:
        found[clip.persons] = actionlet[:len(clip.persons)]
    return np.moveaxis(found, 1, 0)

def _relative(actionlet: np.ndarray | None) -> np.ndarray | None:
    """(M, T, V) from 0 to 1 of (T, M, V)."""
    if actionlet is None:
        return None
    peak = actionlet.max()
    return np.moveaxis(actionlet / peak if peak > 0 else actionlet, 0, 1)
