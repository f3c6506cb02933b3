"""Starts a run from an encoder that was trained before."""
from collections.abc import Iterable, Mapping

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmactclr.engine.checkpoints import ModelCard, check_fit, read_checkpoint, state_of
from mmactclr.engine.checkpoints.fit import BRANCHES, card_streams
from mmactclr.errors import ConfigError
from mmactclr.models import BaseAlgorithm, MoCo
from mmactclr.registry import HOOKS

from .method import get_method

Weights = Mapping[str, Tensor]


@HOOKS.register_module()
class EncoderInitHook(Hook):
    """Copies encoders, and projectors where the checkpoint has fitting ones, into a run that starts.

    Memory, anchor, optimiser and epoch start afresh, which tells it from ``load_from``. The key encoders become
    copies. A checkpoint of one stream serves that stream of a run of several; the others stay as they were drawn.
    A resumed run keeps its own weights.

    Args:
        init_from: Checkpoint of ours, pretrained or converted; a dict gives one for each stream. An empty one
            does nothing.
        from_scratch: Leave all weights random; where a config takes its encoder from the card of ``init_from``, that
            gives the same network without what it has learned.

    Raises:
        ConfigError: If the checkpoint has no encoder of a stream of this run, or one that does not fit.
        DataError: If it cannot be read.
    """

    # before anything looks at the weights
    priority = 'VERY_HIGH'

    def __init__(self, init_from: str | Mapping[str, str] | None = None, from_scratch: bool = False) -> None:
        self.init_from = init_from
        self.from_scratch = from_scratch

    def before_train(self, runner: Runner) -> None:
        """Load, unless the run goes on from a checkpoint of its own."""
        if not self.init_from or runner._resume:
            return
        if self.from_scratch:
            runner.logger.info(f'from scratch: the weights of {self.init_from} are not used')
            return
        branches = get_method(runner, 'EncoderInitHook').branches()
        named = self.init_from if isinstance(self.init_from, Mapping) else None
        found = _named_encoders(named, branches) if named else _shared_encoders(str(self.init_from), branches)
        for stream, (path, state) in found.items():
            parts = load_encoder(branches[stream], state, path)
            runner.logger.info(f'{stream} stream starts from {path}: {parts}')
        for stream in sorted(set(branches) - set(found)):
            runner.logger.info(f'{stream} stream starts from random weights')


def load_encoder(branch: BaseAlgorithm, state: Weights, source: str) -> str:
    """Copy ``backbone.*`` into a branch; returns what was taken.

    A method with a momentum encoder takes ``projector.*`` too, if it fits, and makes the momentum encoder a copy.

    Raises:
        ConfigError: If the encoder does not fit; ``source`` names the file.
    """
    _load_part(branch, 'backbone', state, source)
    if not isinstance(branch, MoCo):
        return 'encoder'
    own = branch.projector.state_dict()
    found = {name.removeprefix('projector.'): value for name, value in state.items() if name.startswith('projector.')}
    fits = found.keys() == own.keys() and all(getattr(found[name], 'shape', None) == own[name].shape for name in own)
    if fits:
        _load_part(branch, 'projector', state, source)
    branch.copy_to_key()
    return 'encoder and projector' if fits else 'encoder; the projector starts from random weights'


def _load_part(branch: BaseAlgorithm, part: str, state: Weights, source: str) -> None:
    """Check and copy the weights of one part, under the names that they have in the branch."""
    own = nn.ModuleDict({part: getattr(branch, part)})
    weights = {name: value for name, value in state.items() if name.startswith(f'{part}.')}
    check_fit(own, weights, source)
    # counters of batch norm may be missing
    own.load_state_dict(weights, strict=False)


def _named_encoders(paths: Mapping[str, str], streams: Iterable[str]) -> dict[str, tuple[str, Weights]]:
    """File and weights by stream, from one file a stream."""
    unknown = sorted(set(paths) - set(streams))
    if unknown:
        raise ConfigError(f'init_from names the streams {unknown}, the run trains {sorted(streams)}')
    found = {}
    for stream, path in paths.items():
        encoders = _read(path)
        weights = encoders.get(stream, encoders.get(None))
        if weights is None:
            raise ConfigError(f'init_from.{stream}: {path!r} holds {sorted(map(str, encoders))}, not the {stream} '
                              'stream')
        found[stream] = path, weights
    return found


def _shared_encoders(path: str, streams: Iterable[str]) -> dict[str, tuple[str, Weights]]:
    """File and weights by stream, from the streams of one file that the run trains as well."""
    encoders, streams = _read(path), list(streams)
    if None in encoders:
        # a file that does not say which stream it holds fits a run of one only
        if len(streams) > 1:
            raise ConfigError(f'init_from: {path!r} does not say which stream it holds, the run trains {streams}; name '
                              'it: init_from.joint=FILE')
        return {streams[0]: (path, encoders[None])}
    found = {stream: (path, encoders[stream]) for stream in streams if stream in encoders}
    if not found:
        raise ConfigError(f'init_from: {path!r} holds {sorted(map(str, encoders))}, the run trains {streams}')
    return found


def _read(path: str) -> dict[str | None, Weights]:
    """Weights of a checkpoint by stream; None where it does not say which stream it holds."""
    checkpoint = read_checkpoint(path)
    state, card = state_of(checkpoint), ModelCard.of(checkpoint, path)
    several: dict[str | None, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name.startswith(BRANCHES):
            stream, _, rest = name.removeprefix(BRANCHES).partition('.')
            several.setdefault(stream, {})[rest] = value
    return {**several} or {card_streams(card)[0] if card else None: state}
