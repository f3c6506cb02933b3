"""One pass over the coordinates of an archive, a sequence at a time."""
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from mmactclr.errors import DataError

from .archive import SkeletonArchive
from .archive_format import KEYPOINTS

Track = Callable[[range], Iterable[int]]
# sequences from which the length of the torso and the up axis are told
_TORSO_SAMPLE = 200
_DIGEST_BYTES = 16


@dataclass
class Content:
    """What the coordinates of N sequences with V joints hold.

    Attributes:
        num_joints: V.
        sha256: Checksum of the whole file, hexadecimal.
        digests: Digest of shape and coordinates of every sequence: equal means equal to the last bit.
        unusable: Fault to the positions of the sequences that have it.
        motionless: Positions of sequences of several frames that are all the same.
        persons_absent: Frames in which a stored person is not there, summed over the persons.
        nobody: Frames in which nobody is there.
        seen: Frames in which a stored person is there, summed over the persons.
        at_zero: (V,) how often a joint lay exactly at zero in the frames ``seen``.
        spine: (F, C) from the middle of the hips to that of the shoulders, in frames of some sequences.
    """

    num_joints: int
    sha256: str = ''
    digests: list[bytes] = field(default_factory=list)
    unusable: dict[str, list[int]] = field(default_factory=dict)
    motionless: list[int] = field(default_factory=list)
    persons_absent: int = 0
    nobody: int = 0
    seen: int = 0
    at_zero: np.ndarray = field(init=False)
    spine: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.at_zero = np.zeros(self.num_joints, np.int64)


def scan(archive: SkeletonArchive, track: Track = iter) -> Content:
    """Reads every byte of ``keypoints.npy`` once; holds one sequence at a time.

    Args:
        archive: The archive.
        track: Goes through the positions it is given, such as a progress bar.

    Raises:
        DataError: The file ends early.
    """
    content, whole = Content(archive.layout.num_joints), hashlib.sha256()
    sampled = set(np.linspace(0, len(archive) - 1, min(_TORSO_SAMPLE, len(archive))).astype(int).tolist())
    spines = [np.zeros((0, archive.num_axes))]
    size = archive.layout.num_joints * archive.num_axes
    with (archive.path / KEYPOINTS).open('rb') as file:
        whole.update(_header(file))
        for i in track(range(len(archive))):
            shape = archive.persons(i), archive.frames(i)
            data = file.read(4 * shape[0] * shape[1] * size)
            whole.update(data)
            if len(data) < 4 * shape[0] * shape[1] * size:
                raise DataError(f'{archive.path / KEYPOINTS} ends inside sequence {i}: convert the data again')
            content.digests.append(_digest(shape, data))
            sequence = np.frombuffer(data, '<f4').reshape(*shape, archive.layout.num_joints, archive.num_axes)
            if fault := _fault(sequence):
                content.unusable.setdefault(fault, []).append(i)
                continue
            _look(content, i, sequence)
            if i in sampled:
                spines.append(_spine(sequence, archive))
        while rest := file.read(1 << 20):
            whole.update(rest)
    content.sha256, content.spine = whole.hexdigest(), np.concatenate(spines)
    return content


def _header(file: IO[bytes]) -> bytes:
    """Everything before the first coordinate."""
    oldest = np.lib.format.read_magic(file) == (1, 0)
    read = np.lib.format.read_array_header_1_0 if oldest else np.lib.format.read_array_header_2_0
    _, by_columns, _ = read(file)
    if by_columns:
        raise DataError(f'{file.name} is stored column by column (Fortran order), expected row by row: convert the '
                        'data again')
    length = file.tell()
    file.seek(0)
    return file.read(length)


def _digest(shape: tuple[int, int], data: bytes) -> bytes:
    digest = hashlib.blake2b(repr(shape).encode(), digest_size=_DIGEST_BYTES)
    digest.update(data)
    return digest.digest()


def _fault(sequence: np.ndarray) -> str:
    if not sequence.size:
        return 'without frames'
    if not np.isfinite(sequence).all():
        return 'with coordinates that are not finite'
    return '' if sequence.any() else 'with nobody in any frame'


def _found(sequence: np.ndarray) -> np.ndarray:
    """(M, T, V) whether a joint is anywhere but exactly at zero."""
    # faster than any() over an axis this short
    return np.asarray(np.logical_or.reduce([sequence[..., axis] != 0 for axis in range(sequence.shape[-1])]))


def _look(content: Content, i: int, sequence: np.ndarray) -> None:
    found = _found(sequence)
    there: np.ndarray = np.any(found, axis=-1)
    content.persons_absent += there.size - int(there.sum())
    content.nobody += int((~there.any(0)).sum())
    content.seen += int(there.sum())
    if not found.all():
        content.at_zero += (there[..., None] & ~found).sum((0, 1))
    ends_as_it_began = sequence.shape[1] > 1 and np.array_equal(sequence[:, 0], sequence[:, -1])
    if ends_as_it_began and (sequence == sequence[:, :1]).all():
        content.motionless.append(i)


def _spine(sequence: np.ndarray, archive: SkeletonArchive) -> np.ndarray:
    """Spines (F, C) in frames in which both shoulders and both hips were found."""
    layout = archive.layout
    shoulders, hips = (sequence[:, :, list(pair)].astype(np.float64) for pair in (layout.shoulders, layout.hips))
    seen = (_found(shoulders) & _found(hips)).all(-1)
    return (shoulders.mean(2) - hips.mean(2))[seen]
