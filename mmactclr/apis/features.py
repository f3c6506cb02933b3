"""Features of many recordings as a table for other programs."""
import json
from pathlib import Path
from typing import Any

import numpy as np

from mmactclr.errors import ConfigError, DataError
from mmactclr.utils import write_npz, written_aside

from .inferencing import Inference, SkeletonInferencer

_SUFFIXES = ('.npz', '.parquet')


def extract_features(inferencer: SkeletonInferencer, source: Any, path: str | Path | None = None,
                     **arguments: Any) -> list[Inference]:
    """Embed recordings, and write their features if a file is named.

    An npz has ``embedding`` (N, D) float32, ``name``, ``label`` (a name, empty for none) and, where the model has a
    classifier, ``score`` (N, K) and ``classes`` (K,). A parquet file has the columns ``name``, ``label``,
    ``embedding`` and ``score``, lists of float32, and in the metadata of its schema ``checkpoint``, the name of the
    file, ``layout`` and, beside scores, ``classes`` in their order, the last two as JSON; it needs pyarrow.

    Args:
        inferencer: Whose model.
        source: As for calling the inferencer.
        path: ``.npz`` or ``.parquet`` file to write, if any.
        arguments: As for calling the inferencer.

    Returns:
        One result for every recording.

    Raises:
        ConfigError: If the suffix is another one, or pyarrow is missing.
        DataError: If a recording cannot be used or the file not be written.
    """
    path = None if path is None else Path(path)
    if path is not None and path.suffix not in _SUFFIXES:
        raise ConfigError(f'{path}: features are written to {" or ".join(_SUFFIXES)}, found {path.suffix!r}')
    write = None if path is None else _write_npz if path.suffix == '.npz' else _parquet_writer(inferencer)
    recordings = inferencer.read(source, *(arguments.pop(name, None) for name in ('layout', 'unit', 'options')))
    found = inferencer(recordings, actionlet=False, **arguments)
    if write is None or path is None:
        return found
    labels = [r.classes[r.label] if r.label >= 0 else '' for r in recordings]
    try:
        write(path, found, labels)
    except OSError as error:
        raise DataError(f'{path} cannot be written ({error}); choose another file') from error
    return found


def _write_npz(path: Path, found: list[Inference], labels: list[str]) -> None:
    columns: dict[str, Any] = dict(embedding=np.stack([r.embedding for r in found]),
                                   name=np.array([r.name for r in found]), label=np.array(labels))
    if found[0].score is not None:
        columns |= dict(score=np.stack([np.asarray(r.score) for r in found]), classes=np.array(found[0].classes))
    write_npz(path, columns)


def _parquet_writer(inferencer: SkeletonInferencer) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError('a parquet file needs pyarrow: pip install pyarrow; .npz needs nothing') from error

    def write(path: Path, found: list[Inference], labels: list[str]) -> None:
        vectors = pyarrow.list_(pyarrow.float32())
        columns = dict(name=pyarrow.array([r.name for r in found], pyarrow.string()),
                       label=pyarrow.array(labels, pyarrow.string()),
                       embedding=pyarrow.array([r.embedding for r in found], vectors))
        about = dict(layout=json.dumps(inferencer.layout.to_dict()), checkpoint=Path(inferencer.source).name)
        if found[0].score is not None:
            columns['score'] = pyarrow.array([r.score for r in found], vectors)
            about['classes'] = json.dumps(list(found[0].classes))
        with written_aside(path) as aside:
            pyarrow.parquet.write_table(pyarrow.table(columns, metadata=about), aside)
    return write
