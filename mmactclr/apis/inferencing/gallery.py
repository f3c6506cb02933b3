"""Search by example: which recordings of an archive move like this one."""
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from mmactclr.errors import ConfigError, DataError
from mmactclr.registry import MODELS, SCOPE
from mmactclr.utils import read_arrays, write_npz

from .inferencer import SkeletonInferencer
from .results import Inference

# 1: the fingerprint was of all weights, and of nothing else
_VERSION = 2
# of the vote, as in the kNN protocol
_TEMPERATURE = .1
_FIELDS = ('version', 'embedding', 'name', 'label', 'classes', 'model', 'source')


@dataclass(frozen=True)
class Neighbour:
    """A recording of a gallery that is like another one.

    Attributes:
        name: Of the recording.
        label: Its class, None where it has none.
        similarity: Cosine of the two embeddings, at most 1.
        position: In the gallery, as in the archive that it was built of.
    """

    name: str
    label: str | None
    similarity: float
    position: int


class MotionGallery:
    """Embeddings of many recordings, searched by the cosine of their angles.

    Args:
        embedding: (N, D) features.
        names: Of the N recordings.
        labels: Their classes, by position in ``classes``; -1 for none.
        classes: Names of the classes.
        model: Fingerprint of the model, see :func:`fingerprint`.
        source: What was built of, for people.

    Raises:
        DataError: If lengths differ, or a feature is zero or not finite.
    """

    def __init__(self, embedding: np.ndarray, names: Sequence[str], labels: Sequence[int], classes: Sequence[str],
                 model: str, source: str = '') -> None:
        embedding = np.asarray(embedding, np.float32)
        if embedding.ndim != 2 or not len(embedding) or not len(embedding) == len(names) == len(labels):
            raise DataError(f'MotionGallery: embeddings {embedding.shape}, {len(names)} names, {len(labels)} labels; '
                            'expected as many of each, at least one')
        lengths = np.linalg.norm(embedding, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            bad = int(np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))[0])
            raise DataError(f'MotionGallery: the embedding of {names[bad]!r} is zero or not finite')
        self.embedding = embedding / lengths
        self.names, self.labels, self.classes = list(map(str, names)), np.asarray(labels, np.int64), tuple(classes)
        self.model, self.source = model, source

    @classmethod
    def build(cls, inferencer: SkeletonInferencer, source: Any, **arguments: Any) -> 'MotionGallery':
        """Embed recordings.

        Args:
            inferencer: Whose model embeds.
            source: As for calling the inferencer, usually an archive.
            arguments: Likewise.
        """
        recordings = inferencer.read(source, *(arguments.pop(name, None) for name in ('layout', 'unit', 'options')))
        found = inferencer(recordings, actionlet=False, **arguments)
        classes = list(dict.fromkeys(name for recording in recordings for name in recording.classes))
        labels = [classes.index(r.classes[r.label]) if r.label >= 0 else -1 for r in recordings]
        return cls(np.stack([result.embedding for result in found]), [r.name for r in recordings], labels, classes,
                   fingerprint(inferencer), str(source) if isinstance(source, (str, Path)) else '')

    def save(self, path: str | Path) -> Path:
        """Write an npz, aside first, then renamed.

        Raises:
            DataError: If it cannot be written.
        """
        path = Path(path)
        path = path if path.suffix == '.npz' else path.with_name(path.name + '.npz')
        try:
            return write_npz(path, dict(
                version=_VERSION, embedding=self.embedding, name=np.array(self.names), label=self.labels,
                classes=np.array(self.classes, dtype=str), model=self.model, source=self.source))
        except OSError as error:
            raise DataError(f'{path} cannot be written ({error}); choose another file') from error

    @classmethod
    def load(cls, path: str | Path) -> 'MotionGallery':
        """Read what :meth:`save` wrote; nothing in it is executed.

        Raises:
            DataError: If there is no such file, or it is damaged or something else.
        """
        try:
            content = read_arrays(Path(path), path)
            missing = [name for name in _FIELDS if name not in content] if isinstance(content, dict) else list(_FIELDS)
            if missing:
                raise DataError(f'{path} is no gallery: it lacks {", ".join(missing)}')
            if (version := int(content['version'])) != _VERSION:
                raise DataError(f'{path} is a gallery of version {version}, this code reads {_VERSION}; build it '
                                'again with tools/gallery.py build')
            return cls(content['embedding'], content['name'].tolist(), content['label'].tolist(),
                       content['classes'].tolist(), str(content['model']), str(content['source']))
        except (DataError, ValueError, TypeError, AttributeError) as error:
            reason = str(error) if isinstance(error, DataError) else f'{path} cannot be read ({error})'
            raise DataError(f'{reason}; expected a file of tools/gallery.py build') from error

    def search(self, query: np.ndarray | Inference, k: int = 5, inferencer: SkeletonInferencer | None = None
               ) -> list[Neighbour]:
        """The recordings most like one.

        Args:
            query: An embedding (D,), or a result of the inferencer.
            k: How many; all of a smaller gallery.
            inferencer: Whose embedding it is; checked to be of the model that the gallery was built with.

        Raises:
            ConfigError: If the embedding is of another model, or k not positive.
        """
        if k < 1:
            raise ConfigError(f'k is {k}, expected 1 or more')
        if inferencer is not None and fingerprint(inferencer) != self.model:
            raise ConfigError(f'the gallery of {self.source!r} was built with another encoder than that of '
                              f'{inferencer.source!r}, or for other joints, frames, persons or preparation: such '
                              'embeddings cannot be compared; build it again')
        vector = np.asarray(query.embedding if isinstance(query, Inference) else query, np.float32)
        if vector.shape != self.embedding.shape[1:]:
            raise ConfigError(f'the embedding has shape {vector.shape}, those of the gallery '
                              f'{self.embedding.shape[1:]}: they are of different models')
        length = np.linalg.norm(vector)
        similarity = self.embedding @ (vector / length if length > 0 else vector)
        nearest = np.argsort(-similarity, kind='stable')[:k]
        return [Neighbour(self.names[i], self.classes[self.labels[i]] if self.labels[i] >= 0 else None,
                          float(similarity[i]), int(i)) for i in nearest]

    def vote(self, query: np.ndarray | Inference, k: int = 20, inferencer: SkeletonInferencer | None = None
             ) -> list[tuple[str, float]]:
        """The class of a recording by its k nearest labelled neighbours, each weighted exp(cosine / 0.1).

        The vote of the kNN protocol (:func:`~mmactclr.evaluation.knn_scores`), for models without a classifier.

        Args:
            query: As for :meth:`search`.
            k: Neighbours that vote.
            inferencer: As for :meth:`search`.

        Returns:
            Classes and their shares of the vote, best first; none where no recording has a label.
        """
        near = [each for each in self.search(query, len(self), inferencer) if each.label is not None][:k]
        shares: dict[str, float] = {}
        for each in near:
            weight = float(np.exp((each.similarity - near[0].similarity) / _TEMPERATURE))
            shares[str(each.label)] = shares.get(str(each.label), 0.) + weight
        total = sum(shares.values())
        return sorted(((name, share / total) for name, share in shares.items()), key=lambda each: -each[1])

    def __len__(self) -> int:
        return len(self.names)


def fingerprint(inferencer: SkeletonInferencer) -> str:
    """Sixteen hexadecimal digits of what an embedding depends on: encoders, streams, joints and preparation.

    Classifiers, projectors, memories, anchors and momentum copies are no part of it: a classifier on a frozen encoder
    has the fingerprint of the pretraining.
    """
    card, branches = inferencer.card, inferencer.model.branches()
    about = dict(
        streams=[[name, getattr(branch, 'stream', name), branch.skip_absent] for name, branch in branches.items()],
        encoders=sorted(map(_spelled_out, _backbones(card.model)), key=repr),
        layout={name: value for name, value in inferencer.layout.to_dict().items() if name != 'name'},
        num_frames=card.num_frames, max_persons=card.max_persons, preparation=card.preparation_steps(),
        scores_frames=inferencer.scores_frames)
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for stream, branch in branches.items():
        found = getattr(branch, 'backbone', None)
        encoder = found if isinstance(found, nn.Module) else branch
        for name, value in sorted(encoder.state_dict().items()):
            if name.endswith('num_batches_tracked'):
                continue
            digest.update(json.dumps([stream, name, list(value.shape)]).encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _backbones(model: Any) -> Iterator[Mapping[str, Any]]:
    """Configs of the encoders inside the config of a model."""
    if isinstance(model, Mapping):
        for name, value in model.items():
            if name == 'backbone' and isinstance(value, Mapping):
                yield value
            else:
                yield from _backbones(value)
    elif isinstance(model, (list, tuple)):
        for value in model:
            yield from _backbones(value)


def _spelled_out(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config of an encoder with its defaults, without what counts in training alone, and without joints."""
    name = str(config['type']).removeprefix(f'{SCOPE}.')
    parameters = inspect.signature(MODELS.get(name)).parameters
    values = {key: each.default for key, each in parameters.items() if each.default is not inspect.Parameter.empty}
    values |= {**config, 'type': name}
    return {key: value for key, value in values.items() if not ('dropout' in key or 'init' in key or key == 'layout')}
