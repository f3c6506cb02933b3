"""Models as ONNX files that need neither PyTorch nor this package."""
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmactclr.apis.inferencing import SkeletonInferencer
from mmactclr.errors import ConfigError, DataError, ExportError
from mmactclr.version import __version__

from .checking import (
    BATCHES,
    LENGTHS,
    check_parity,
    differences,
    import_for_deployment,
    open_session,
    random_input,
)
from .graph import ExportedModel, default_part

# key of the metadata, and version of what is under it
METADATA, VERSION = 'mmactclr', 1
# below, ONNX has no cumulative sum and no where; above, torch's exporter knows none
OPSETS = range(13, 21)
_SHAPES = {'embedding': ('N', 'D'), 'projection': ('N', 'D'), 'score': ('N', 'K'), 'frame_score': ('N', 'T', 'K'),
           'actionlet': ('N', 'M', 'cells', 'V')}
_MEANINGS = {
    'embedding': 'feature of the recording; of several streams their unit-length features side by side',
    'projection': 'unit-length projection of the feature',
    'score': 'raw class scores, before a softmax',
    'frame_score': 'raw class scores of every frame, before a softmax',
    'actionlet': 'how much a joint belongs to the actionlet in a cell of frames, not negative, of no fixed scale'}


def export_onnx(checkpoint: str | Path | SkeletonInferencer, path: str | Path, part: str | None = None,
                opset: int = 18, config: str | Path | None = None, anchor: Any = None, check: bool = False,
                **anchor_arguments: Any) -> dict[str, dict[str, float]]:
    """Write the model of a checkpoint as an ONNX file, and compare what the file gives with what the model gives.

    Inputs are ``keypoint`` (N, M, T, V, C) float32, prepared joints in metres, and ``mask`` (N, M) bool, who is there;
    N and T are free. Outputs are ``embedding`` (N, D), ``projection`` (N, D) where the model has a projector, ``score``
    (N, K) or ``frame_score`` (N, T, K) where it has a classifier, and ``actionlet`` (N, M, T', V), of several streams
    ``actionlet_STREAM``. The card of the model, with the preparation spelled out, is in the metadata of the file.

    Args:
        checkpoint: Checkpoint with a model card, or an inferencer that has it.
        path: ONNX file; written aside and renamed once it has been checked.
        part: ``embedding``; ``recognizer``, which adds class scores; ``actionlet``, which adds actionlets to all that
            the model has. None: ``recognizer`` where there is a classifier, else ``embedding``.
        opset: Version of the ONNX operators, 13 to 20.
        config: Config of the model, where the checkpoint has no card.
        anchor: Recordings whose mean motion actionlets are found against, as for
            :meth:`SkeletonInferencer.use_anchor`; needed for models that were not trained as ActCLR. With ``part``
            ``actionlet`` alone.
        check: Compare at batches of 1 and 3 and at 17, 50 and 120 frames as well.
        anchor_arguments: ``layout``, ``unit``, ``up``, ``metres_per_unit`` and ``options`` of the anchor's recordings.

    Returns:
        Largest difference of each output, relative to its largest value, by the shape of the input.

    Raises:
        ConfigError: If an argument does not fit the model, or a package of mmactclr[deploy] is missing.
        DataError: If the checkpoint cannot be read or the file not be written.
        ExportError: If the model cannot be traced, or the file gives other numbers than the model; no file is written
            then, and one that was there stays.

    Example:
        >>> export_onnx('work_dirs/linear/epoch_100.pth', 'model.onnx')         # doctest: +SKIP
        {'1x2x50x25x3': {'embedding': 1.2e-06, 'score': 9.8e-07}, ...}
    """
    if anchor is not None and part != 'actionlet':
        raise ConfigError(f"an anchor is for actionlets, and part is {part!r}; take part 'actionlet', or leave the "
                          'anchor out')
    onnx = import_for_deployment('onnx')
    import_for_deployment('onnxruntime')
    if opset not in OPSETS:
        raise ConfigError(f'opset is {opset}, expected {OPSETS[0]} to {OPSETS[-1]}')
    if isinstance(checkpoint, SkeletonInferencer):
        inferencer = checkpoint
        if inferencer.device.type != 'cpu':
            raise ConfigError(f'the inferencer is on {inferencer.device}; export from one on the cpu')
    else:
        inferencer = SkeletonInferencer(checkpoint, config)
    if anchor is not None:
        inferencer.use_anchor(anchor, **anchor_arguments)
    model, card = inferencer.model, inferencer.card
    graph = ExportedModel(model, part or default_part(model), card.max_persons, inferencer.anchor)
    first = next(iter(graph.encoders.values())).branch
    # an encoder of the user's may not say how many coordinates it takes
    channels = getattr(first.backbone, 'in_channels', 3)

    def shape(batch: int, frames: int) -> tuple[int, int, int, int, int]:
        return batch, card.max_persons, frames, first.layout.num_joints, channels

    path = Path(path)
    path = path if path.suffix == '.onnx' else path.with_name(path.name + '.onnx')
    with _written_aside(path) as aside:
        _trace(graph, random_input(shape(2, card.num_frames)), aside, opset)
        _describe(onnx, aside, dict(
            _about(inferencer, graph), opset=opset,
            outputs={name: dict(shape=list(dims), meaning=meaning) for name, dims, meaning in _outputs(graph)}))
        session = open_session(aside)
        # another batch and another length than those that were traced
        shapes = [shape(1, card.num_frames), shape(3, card.num_frames // 2 + 3)]
        if check:
            shapes += [shape(batch, frames) for batch in BATCHES for frames in LENGTHS]
        found = {}
        for number, one in enumerate(dict.fromkeys(shapes)):
            keypoint, mask = random_input(one, seed=number + 1)
            apart = differences(session, model, keypoint, mask, inferencer.anchor)
            check_parity(apart, model, keypoint, mask, inferencer.anchor)
            found['x'.join(map(str, one))] = apart
    return found


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What an exported file says of itself: card, preparation, streams, outputs.

    Raises:
        DataError: If it cannot be read, or is none of ours.
    """
    onnx = import_for_deployment('onnx')
    try:
        properties = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
        return json.loads(properties[METADATA])
    except KeyError as error:
        raise DataError(f'{path} has no metadata {METADATA!r}; expected a file of tools/deployment/export_onnx.py'
                        ) from error
    except Exception as error:  # protobuf's decoding errors have no base that is ours to name
        raise DataError(f'{path} cannot be read ({type(error).__name__}: {error}); expected a file of '
                        'tools/deployment/export_onnx.py') from error


@contextmanager
def _written_aside(path: Path) -> Iterator[Path]:
    """A file to write in place of ``path``, which it becomes if the block ends well; otherwise nothing is left of it.

    Raises:
        DataError: If it cannot be written.
    """
    aside = path.with_name(f'.{path.name}.partial-{os.getpid()}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f'{path} cannot be written ({error}); choose another file') from error


def _trace(graph: ExportedModel, inputs: tuple[Tensor, Tensor], path: Path, opset: int) -> None:
    """Write the traced model.

    By the exporter that traces: the one on torch.export (2.13) reasons about memory layouts and comes to conditions on
    T, such as T >= 5, that exclude lengths an encoder takes; a traced graph computes all sizes from its input. What
    tracing may get wrong, a size that was baked in, is what the check afterwards looks for.
    """
    graph(*inputs)
    axes: dict[str, dict[int, str]] = {'keypoint': {0: 'N', 2: 'T'}, 'mask': {0: 'N'}}
    axes |= {name: {i: dim for i, dim in enumerate(dims) if dim in ('N', 'T', 'cells')}
             for name, dims, _ in _outputs(graph)}
    with warnings.catch_warnings(), _without_fused_attention():
        # that the exporter is the older one, and that comparisons of sizes are traced as they come out
        warnings.simplefilter('ignore')
        try:
            torch.onnx.export(graph, inputs, str(path), input_names=['keypoint', 'mask'],
                              output_names=list(graph.names), dynamic_axes=axes, opset_version=opset, dynamo=False)
        except OSError:
            raise
        except Exception as error:  # tracing runs the model's code, which may raise anything
            line = str(error).strip().partition('\n')[0]
            raise ExportError(f'the {type(graph.model).__name__} cannot be traced with opset {opset} ({line[:300]}); '
                              'try another opset, or rewrite the operation in the encoder') from error


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """torch's attention layers step by step: in eval mode they take one fused operation, which ONNX does not have."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _describe(onnx: Any, path: Path, about: Mapping[str, Any]) -> None:
    """Put the metadata into the file, so that it says alone what goes in and comes out."""
    content = onnx.load(str(path))
    onnx.helper.set_model_props(content, {METADATA: json.dumps(about, allow_nan=False)})
    content.producer_name, content.producer_version = 'mmactclr', __version__
    content.doc_string = about['card']['source']
    onnx.checker.check_model(content)
    onnx.save(content, str(path))


def _about(inferencer: SkeletonInferencer, graph: ExportedModel) -> dict[str, Any]:
    card = inferencer.card
    return dict(version=VERSION, part=graph.part, card=card.to_dict(), preparation=card.preparation_steps(),
                streams=list(graph.encoders), skip_absent=graph.skip_absent,
                scores_frames=inferencer.scores_frames)


def _outputs(graph: ExportedModel) -> list[tuple[str, tuple[str, ...], str]]:
    """Name, dimensions and meaning of every output."""
    kinds = {name: 'actionlet' if name.startswith('actionlet') else name for name in graph.names}
    return [(name, _SHAPES[kind], _MEANINGS[kind]) for name, kind in kinds.items()]
