"""Inference on motion as it comes, frame by frame."""
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError
from mmactclr.structures import Layout, get_layout
from mmactclr.transforms.adaptation import SkeletonAdapter

from .arguments import as_numbers, check_count, known_unit, say
from .inferencer import SkeletonInferencer
from .recordings import Recording
from .results import Inference

# calls whose latency is remembered
_REMEMBERED = 10_000


class SkeletonStream:
    """Keeps the last frames and looks at them every few frames.

    Args:
        inferencer: What looks.
        window: Frames that are looked at; those of the model if None.
        hop: Frames from one look to the next.
        layout: Joints of the frames; those of the model if None.
        unit: Unit of the frames.
        up: Axis that points up. With joints other than the model's it is estimated from the first window if None, and
            kept.
        metres_per_unit: In place of the unit.
        actionlet: Whether actionlets are wanted.

    Raises:
        ConfigError: If window or hop are no positive whole numbers, the window is not that of a segmentor's training,
            or layout or unit are not known.

    Example:
        >>> stream = SkeletonStream(inferencer, hop=10)                         # doctest: +SKIP
        >>> for frame in camera:                                                # doctest: +SKIP
        ...     result = stream.push(frame)
        ...     if result is not None:
        ...         print(result.label)
    """

    def __init__(self, inferencer: SkeletonInferencer, window: int | None = None, hop: int = 1,
                 layout: str | Mapping[str, Any] | Layout | None = None, unit: str = 'm', up: str | None = None,
                 metres_per_unit: float | None = None, actionlet: bool = False) -> None:
        self.inferencer = inferencer
        self.window = inferencer.card.num_frames if window is None else window
        inferencer.window_of(self.window)
        check_count('hop', hop)
        self.hop, self.actionlet = hop, actionlet
        self.layout = inferencer.layout if layout is None else get_layout(layout)
        self._arguments: dict[str, Any] = dict(up=up, metres_per_unit=metres_per_unit)
        self._unit = known_unit(unit, 'SkeletonStream')
        self._adapter: SkeletonAdapter | None = None
        self._frames: deque[np.ndarray] = deque(maxlen=self.window)
        self._said: set[str] = set()
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self.count = 0

    def push(self, frame: Any) -> Inference | None:
        """Take a frame; look, once the window is full, at every ``hop``-th.

        Args:
            frame: (V, C) of one person or (M, V, C) of several.

        Returns:
            What the model says of the window that ends with this frame, None between two looks. Frames in its name
            count from the first one pushed.

        Raises:
            DataError: If these are no numbers, the shape does not fit the layout, or a coordinate is not finite.
        """
        start = time.perf_counter()
        values = as_numbers(frame, f'frame {self.count}', '(joints, 2 or 3) or (persons, joints, 2 or 3)')
        values = values[None] if values.ndim == 2 else values
        expected = self.layout.num_joints
        if values.ndim != 3 or values.shape[1] != expected or values.shape[2] not in (2, 3) or not len(values):
            raise DataError(f'frame {self.count}: shape is {np.shape(frame)}, expected ({expected}, 2 or 3) or '
                            f'(persons, {expected}, 2 or 3) in layout {self.layout.name!r}')
        if not np.isfinite(values).all():
            raise DataError(f'frame {self.count}: {int((~np.isfinite(values)).sum())} coordinates are not finite; '
                            'leave the frame out, or set joints that were not seen to zero')
        if self._frames and self._frames[-1].shape[2] != values.shape[2]:
            raise DataError(f'frame {self.count}: {values.shape[2]} coordinates a joint, the frame before has '
                            f'{self._frames[-1].shape[2]}')
        self._frames.append(values)
        self.count += 1
        if len(self._frames) < self.window or (self.count - self.window) % self.hop:
            return None
        found = self._look()
        if found is not None:
            self._seconds.append(time.perf_counter() - start)
        return found

    def _look(self) -> Inference | None:
        persons = max(map(len, self._frames))
        keypoint = np.zeros((persons, len(self._frames), *self._frames[-1].shape[1:]), np.float32)
        for t, values in enumerate(self._frames):
            keypoint[:len(values), t] = values
        if not keypoint.any():
            return None  # nobody is there
        name = f'frames {self.count - self.window} to {self.count - 1}'
        recording = Recording(name, keypoint, self.layout, self._unit)
        if self._adapter is None:
            self._adapter = self.inferencer.adapters([recording], **self._arguments)[0]
        found = self.inferencer.infer(recording, self._adapter, self.actionlet)
        say([(name, found.notes)], self._said)
        return found

    def latency(self) -> dict[str, float]:
        """Milliseconds that a frame which was looked at took: ``median``, ``p95``, ``worst``, and ``looks`` a second.

        Raises:
            ConfigError: If nothing was looked at.
        """
        if not self._seconds:
            raise ConfigError(f'SkeletonStream: nothing was looked at in {self.count} frames, the window has '
                              f'{self.window}')
        milliseconds = 1e3 * np.array(self._seconds)
        median = float(np.median(milliseconds))
        return dict(median=median, p95=float(np.percentile(milliseconds, 95)), worst=float(milliseconds.max()),
                    looks=1e3 / median)
