"""ActCLR (Lin, Zhang, Liu, CVPR 2023): contrast that treats the moving part of the body as what matters."""
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmactclr.errors import ConfigError
from mmactclr.models.data_preprocessor import Mix
from mmactclr.models.heads import nearest_anchor
from mmactclr.models.persons import PersonRows, persons_there
from mmactclr.registry import MODELS
from mmactclr.transforms import to_stream
from mmactclr.utils import eval_mode

from .base import NO_MIXES, Mixes, Views
from .moco import MoCo, log_size

PAPER_TERMS = ({'inside': 'act', 'outside': 'non'},)
_TERM_KINDS = ({'inside', 'outside'}, {'mixed', 'weighted_by'})


@MODELS.register_module()
class ActCLR(MoCo):
    """Stage one is :class:`MoCo`; stage two transforms the actionlet gently and everything else hard.

    The stage is a function of the epoch alone. All buffers of both stages exist from the start, so
    a checkpoint fits either.

    The defaults are the paper's. The authors' release has three terms, the anchor of the batch and averaged keys; it
    is the same class with other constants and switches.

    Args:
        actionlet_head: Config of the :class:`ActionletHead`.
        mining_loss: Config of the :class:`SimilarityMiningLoss` of stage two; an :class:`InfoNCELoss` in its place
            is the limit of a teacher that knows the key alone (Eq. 8).
        stage_epochs: Epochs of stage one and of stage two, together those of the run; ``(0, n)`` is stage two alone,
            ``(n, 0)`` stage one.
        max_persons: Persons M of the static anchor, as the dataset prepares them.
        num_frames: Frames T of the static anchor, as the dataset prepares them.
        terms: Queries of stage two, a loss term each. ``dict(inside=VIEW, outside=VIEW)`` is a motion-adaptive view,
            the actionlet of the first in the second. ``dict(mixed=VIEW, weighted_by=VIEW)`` is a view with a
            :class:`SkeletonMix` as it is, whose target is mixed like its content: by the actionlet of the
            ``inside`` view of an earlier term, which has to show the same moments.
        anchor: What the static anchor is the mean of: the training set (``dataset``), the keys of every ``batch``,
            those of all batches with exponentially fading weights (``ema``), or the pooled features of the keys of
            every batch (``feature``).
        num_anchors: Mean motions of so many groups of the training set instead of one of all; a sequence is compared
            with the nearest. For ``anchor='dataset'``.
        key_pooling: ``safp``; ``average`` for plain average pooling; or ``mean`` for the normalised mean of the keys
            by both.
        mix_temperature: Temperature of the weights exp(A / temperature) that mix a target.
        kwargs: Arguments of :class:`MoCo`.

    Raises:
        ConfigError: If ``stage_epochs`` is no pair of numbers from 0 up, or a switch or term is none of the above.

    Attributes:
        anchor: (M, T, V, C) static anchor in the stream of this method; filled by ``StaticAnchorHook``
            unless it is that of the batch.
        group_anchors: (num_anchors, M, T, V, C) anchors of groups, where there are several.
        pending_anchor: (M, T, V, C) mean of the last step's keys that waits for an ``ema`` anchor.
    """

    keeps_joints = True

    def __init__(self, actionlet_head: Mapping[str, Any], mining_loss: Mapping[str, Any],
                 stage_epochs: tuple[int, int] = (100, 300), max_persons: int = 2, num_frames: int = 50,
                 terms: Sequence[Mapping[str, str]] = PAPER_TERMS,
                 anchor: Literal['dataset', 'batch', 'ema', 'feature'] = 'dataset', num_anchors: int = 1,
                 key_pooling: Literal['safp', 'average', 'mean'] = 'safp', mix_temperature: float = 0.1,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.actionlet_head = MODELS.build({'layout': self.layout, **actionlet_head})
        self.mining_loss = MODELS.build(dict(mining_loss))
        self.stage_epochs = tuple(stage_epochs)
        if len(self.stage_epochs) != 2 or min(self.stage_epochs) < 0:
            raise ConfigError(f'ActCLR: stage_epochs is {self.stage_epochs}, expected two numbers from 0 up: the '
                              'epochs of stage one and of stage two')
        for name, value, known in (('anchor', anchor, ('dataset', 'batch', 'ema', 'feature')),
                                   ('key_pooling', key_pooling, ('safp', 'average', 'mean'))):
            if value not in known:
                raise ConfigError(f'ActCLR: {name} is {value!r}, expected one of {", ".join(known)}')
        if num_anchors < 1 or num_anchors > 1 and anchor != 'dataset':
            raise ConfigError(f'ActCLR: num_anchors is {num_anchors} and anchor {anchor!r}, expected 1, or more with '
                              "anchor='dataset'")
        if mix_temperature <= 0:
            raise ConfigError(f'ActCLR: mix_temperature is {mix_temperature}, expected a positive number')
        self.terms = _checked_terms(terms)
        self.anchor_source, self.key_pooling, self.mix_temperature = anchor, key_pooling, mix_temperature
        channels = getattr(self.backbone, 'in_channels', 3)
        self.num_anchors = num_anchors
        shape = (max_persons, num_frames, self.layout.num_joints, channels)
        self.register_buffer('anchor', torch.zeros(shape))
        if num_anchors > 1:
            self.register_buffer('group_anchors', torch.zeros(num_anchors, *shape))
        self.register_buffer('anchor_ready', torch.zeros((), dtype=torch.bool))
        self.pending_anchor: Tensor | None = None

    @property
    def stage(self) -> int:
        """1 while the epoch lies in stage one, 2 afterwards."""
        return 1 if self.epoch < self.stage_epochs[0] else 2

    @property
    def stage_epoch(self) -> int:
        """Epochs since the current stage began."""
        return self.epoch if self.stage == 1 else self.epoch - self.stage_epochs[0]

    def view_names(self) -> tuple[str, ...]:
        """Two weak views in stage one; those of the terms and a weak key in stage two."""
        if self.stage == 1:
            return super().view_names()
        named = [term[role] for term in self.terms for role in ('inside', 'outside', 'mixed') if role in term]
        return (*dict.fromkeys(named), 'key')

    def loss_terms(self, inputs: Mapping[str, Views], masks: Views,
                   mixes: Mixes = NO_MIXES) -> Iterator[tuple[str, Tensor]]:
        """Eq. 10 in stage one; Eq. 11 for every term in stage two."""
        if self.stage == 1:
            yield from super().loss_terms(inputs, masks, mixes)
        else:
            self.check_hooks()
            yield from self.mine(inputs[self.stream], masks, mixes)
        if self.anchor_source == 'ema':
            self.pending_anchor = self.batch_mean(inputs[self.stream]['key'])

    def mine(self, views: Views, masks: Views, mixes: Mixes) -> Iterator[tuple[str, Tensor]]:
        """Stage two (section 3): motion-adaptive transformation, SAFP of the key, similarity mining."""
        z_anchor = self.anchor_projection(views['key'])
        with self.branch_rng('key'):
            z_k = self.key(views['key'], masks['key'], z_anchor)
        self.hold(z_k)
        # all of them before the first training pass moves the batch statistics that the masks depend on
        queries, scalars = self.queries(views, masks, mixes, z_k, z_anchor)
        parts, divergence, teachers = self.memory_parts(z_k), z_k.new_zeros(()), dict[tuple[int, int], Any]()
        for name, query, mask, target in queries:
            with self.branch_rng(name):
                z_q = self.projector(self.pool(self.backbone, query, mask))
                loss = z_q.new_zeros(())
                for number, (rows, share, memory) in enumerate(parts):
                    taught = self.teach(target, rows, memory, teachers, number)
                    mined = self.mining_loss(z_q[rows], target[rows], memory, **taught)
                    # a teacher of one key alone, as InfoNCE has it, has no entropy
                    part, teacher_entropy = mined if isinstance(mined, tuple) else (mined, 0.)
                    loss = loss + share * part
                    divergence = divergence + share * (part.detach() - teacher_entropy)
            yield 'loss_mining' if len(queries) == 1 else f'loss_mining_{name}', loss
        # of several terms the mean: each bounds the information that its own query shares with the key
        self.log_scalars = {
            'mi_bound': sum(share * self.log_candidates(memory) for _, share, memory in parts)
            - divergence / len(queries), 'kl': divergence,
            'anchor_similarity': F.cosine_similarity(z_k, nearest_anchor(z_k, z_anchor)).mean(), **scalars}

    def teach(self, target: Tensor, rows: Tensor | slice, memory: Tensor, teachers: dict[tuple[int, int], Any],
              number: int) -> dict[str, Any]:
        """The teacher's part of a mining loss that can be had apart, computed once for all terms of one target.

        Args:
            target: (N, D) targets.
            rows: Those that are compared with ``memory`` (K, D), the part ``number`` of the whole.
            teachers: What was computed before.
        """
        if not hasattr(self.mining_loss, 'teacher') or not len(memory):
            return {}
        known = id(target), number
        if known not in teachers:
            teachers[known] = self.mining_loss.teacher(target[rows], memory)
        return dict(teacher=teachers[known])

    def log_candidates(self, memory: Tensor) -> Tensor:
        """log of the number of keys that the mining loss compares over, the ceiling of the bound."""
        top_k = getattr(self.mining_loss, 'top_k', None)
        return log_size(memory[:top_k] if top_k else memory)

    def queries(self, views: Views, masks: Views, mixes: Mixes, z_k: Tensor, z_anchor: Tensor
                ) -> tuple[list[tuple[str, Tensor, Tensor, Tensor]], dict[str, Tensor]]:
        """What stage two asks of the online encoder in this step.

        Returns:
            For every term its name, its view (N, M, T, V, C), the persons present in it (N, M) and its target (N, D);
            and statistics of the actionlets.
        """
        queries, regions = [], dict[str, tuple[Tensor, Tensor]]()
        for term in self.terms:
            if 'mixed' in term:
                name = term['mixed']
                target = self.mixed_target(z_k, *regions[term['weighted_by']], mixes[name])
                queries.append((name, views[name], masks[name], target))
            else:
                name = term['inside']
                query, mask, region = self.motion_adaptive_view(views, masks, z_anchor, name, term['outside'])
                regions[name] = region, masks[name]
                queries.append((name, query, mask, z_k))
        return queries, _region_scalars(regions)

    @torch.no_grad()
    def key(self, x: Tensor, mask: Tensor, z_anchor: Tensor) -> Tensor:
        """Key projection (N, D) of a weak view (N, M, T, V, C), pooled over its actionlet (section 3.4)."""
        feature_map, rows = self.encode(self.backbone_k, x, mask)
        if self.key_pooling == 'average':
            return self.projector_k(rows.mean(feature_map.mean((2, 3))))
        actionlet = self.actionlet_head(feature_map, rows, self.projector_k, z_anchor)
        z_k = self.projector_k(rows.mean(self.actionlet_head.pool(feature_map, actionlet), present_only=True))
        if self.key_pooling == 'safp':
            return z_k
        z_mean = self.projector_k(rows.mean(feature_map.mean((2, 3))))
        return F.normalize(F.normalize(z_k, dim=1) + F.normalize(z_mean, dim=1), dim=1)

    @torch.no_grad()
    def motion_adaptive_view(self, views: Views, masks: Views, z_anchor: Tensor, inside: str, outside: str
                             ) -> tuple[Tensor, Tensor, Tensor]:
        """Section 3.3: ``A * T_act(X) + (1 - A) * T_non(X)``.

        A comes from a pass of the online encoder over T_act(X), in eval mode so that neither dropout
        nor batch statistics blur it.

        Returns:
            The mixed view (N, M, T, V, C), its mask (N, M) and A (N, M, T, V), zero for absent persons.
        """
        act, non = views[inside], views[outside]
        raw, rows = self.online_actionlet(act, masks[inside], z_anchor)
        region = rows.unfold(self.actionlet_head.region(raw, act.shape[2]))
        weight = region[..., None]
        return weight * act + (1 - weight) * non, masks[inside] | masks[outside], region

    @torch.no_grad()
    def mixed_target(self, z_k: Tensor, region: Tensor, mask: Tensor, mix: Mix) -> Tensor:
        """Target (N, D) of a mixed query: the keys of both sequences, by how much of the actionlet each shows.

        ``normalise(c * z_k + p * z_k[partner])`` with p the share of exp(A / temperature) that lies where the partner
        was put in and c = 1 - p (the release's third term, section 3.5).

        Args:
            z_k: (N, D) keys, of any length.
            region: (N, M, T, V) actionlet A in [0, 1].
            mask: (N, M) persons present.
            mix: What the query took from whom.
        """
        z_k = F.normalize(z_k, dim=1)
        weight = (region / self.mix_temperature).exp() * mask[:, :, None, None]
        total = weight.sum((1, 2, 3))
        other = (weight * (1 - mix.own)).sum((1, 2, 3)) / torch.where(total > 0, total, 1.0)
        other = other[:, None]
        return F.normalize((1 - other) * z_k + other * z_k[mix.partner], dim=1)

    @torch.no_grad()
    def batch_mean(self, keys: Tensor) -> Tensor:
        """Mean (M, T, V, C) of a batch of keys (N, M, T, V, C) over all processes."""
        mean = keys.mean(0)
        all_reduce(mean, op='mean')
        return mean

    @torch.no_grad()
    def set_anchor(self, anchor: Tensor, groups: Tensor | None = None) -> None:
        """Take (M, T, V, C) joints as the static anchor, and (num_anchors, M, T, V, C) as those of groups.

        Raises:
            ConfigError: If they have another shape than the model was built for.
        """
        if self.anchor.shape != anchor.shape:
            raise ConfigError(
                f'the static anchor has shape {tuple(self.anchor.shape)} (M, T, V, C), the training data '
                f'{tuple(anchor.shape)}; set max_persons, num_frames and layout at the top of the config, '
                'in_channels of the backbone to C')
        self.anchor.copy_(to_stream(anchor, self.stream, self.layout))
        if self.num_anchors > 1:
            if groups is None or groups.shape != self.group_anchors.shape:
                raise ConfigError(f'ActCLR: num_anchors is {self.num_anchors}, but the anchors of groups have the '
                                  f'shape {None if groups is None else tuple(groups.shape)}, expected '
                                  f'{tuple(self.group_anchors.shape)} (K, M, T, V, C)')
            self.group_anchors.copy_(to_stream(groups, self.stream, self.layout))
        self.anchor_ready.fill_(True)

    @torch.no_grad()
    def follow_anchor(self, momentum: float) -> None:
        """Move an ``ema`` anchor: anchor <- momentum * anchor + (1 - momentum) * mean of the last step's keys."""
        if self.pending_anchor is not None:
            if self.anchor_ready:
                self.anchor.lerp_(self.pending_anchor, 1 - momentum)
            else:
                self.anchor.copy_(self.pending_anchor)
                self.anchor_ready.fill_(True)
        self.pending_anchor = None

    @torch.no_grad()
    def anchor_projection(self, keys: Tensor | None = None) -> Tensor:
        """Projection (1, D) of the static anchor by the key encoder; eval mode, one sample has no statistics.

        Of several anchors all projections (num_anchors, D).

        Args:
            keys: (N, M, T, V, C) keys of this step in the stream of this method, for an anchor that is their mean.
        """
        anchor = self.anchor[None] if self.num_anchors == 1 else self.group_anchors
        if self.anchor_source == 'feature':
            if keys is None:
                raise ConfigError("ActCLR: anchor='feature' is the mean feature of a batch, so there is none without "
                                  'sequences')
            with eval_mode(self.backbone_k, self.projector_k):
                mean = self.pool(self.backbone_k, keys, persons_there(keys)).mean(0, keepdim=True)
                all_reduce(mean, op='mean')
                return self.projector_k(mean)
        if self.anchor_source == 'batch' or self.anchor_source == 'ema' and not self.anchor_ready:
            if keys is not None:
                anchor = self.batch_mean(keys)[None]
        elif not self.anchor_ready:
            raise ConfigError('StaticAnchorHook is missing from custom_hooks: stage two needs the mean motion of '
                              "the training set; add dict(type='StaticAnchorHook') to custom_hooks")
        with eval_mode(self.backbone_k, self.projector_k):
            return self.projector_k(self.pool(self.backbone_k, anchor, persons_there(anchor)))

    @torch.no_grad()
    def online_actionlet(self, x: Tensor, mask: Tensor, z_anchor: Tensor) -> tuple[Tensor, PersonRows]:
        """Raw actionlet (P, T', V) of a view (N, M, T, V, C) by the online encoder in eval mode, and its rows."""
        with eval_mode(self.backbone, self.projector):
            feature_map, rows = self.encode(self.backbone, x, mask)
            return self.actionlet_head(feature_map, rows, self.projector, z_anchor), rows

    @torch.no_grad()
    def actionlet(self, keypoint: Tensor, mask: Tensor) -> Tensor:
        """Raw actionlet (N, M, T', V) of prepared joints (N, M, T, V, C), by the online encoder.

        With an anchor of the batch it is that of these sequences.
        """
        x = to_stream(keypoint, self.stream, self.layout)
        raw, rows = self.online_actionlet(x, mask, self.anchor_projection(x))
        return rows.unfold(raw)

    def drop_step(self) -> None:
        """Leave the anchor where it is, too."""
        super().drop_step()
        self.pending_anchor = None

    def check_hooks(self) -> None:
        """Refuse to go on if the state of the last step was never taken up."""
        super().check_hooks()
        if self.pending_anchor is not None:
            raise ConfigError("StaticAnchorHook is missing from custom_hooks: the anchor (anchor='ema') did not follow "
                              "the last step; add dict(type='StaticAnchorHook') to custom_hooks")


def find_actionlet(method: Any, head: nn.Module, keypoint: Tensor, mask: Tensor, anchor: Tensor) -> Tensor:
    """Actionlets that any single-stream encoder finds against a given anchor, without training.

    Args:
        method: A method or recogniser with ``encode``, ``backbone``, ``stream`` and ``layout``; its projector lies
            between the pooled feature and the projection, the identity if it has none.
        head: :class:`ActionletHead`.
        keypoint: (N, M, T, V, C) prepared joints.
        mask: (N, M) persons present.
        anchor: (M, T, V, C) static anchor, joints.

    Returns:
        Raw actionlet (N, M, T', V).
    """
    projector: nn.Module = getattr(method, 'projector', None) or nn.Identity()
    with torch.no_grad(), eval_mode(method):
        x = to_stream(anchor[None], method.stream, method.layout)
        feature_map, rows = method.encode(method.backbone, x, persons_there(anchor[None]))
        z_anchor = projector(rows.mean(feature_map.mean((2, 3))))
        x = to_stream(keypoint, method.stream, method.layout)
        feature_map, rows = method.encode(method.backbone, x, mask)
        return rows.unfold(head(feature_map, rows, projector, z_anchor))


def _checked_terms(terms: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], ...]:
    """The terms as plain dicts.

    Raises:
        ConfigError: If there is none, one is of no known kind, or one leans on an actionlet that no earlier one finds.
    """
    found: set[str] = set()
    checked = tuple(dict(term) for term in terms)
    for number, term in enumerate(checked):
        if set(term) not in _TERM_KINDS:
            raise ConfigError(f'ActCLR: terms.{number} has the keys {sorted(term)}, expected inside and outside, or '
                              'mixed and weighted_by')
        if 'mixed' in term and term['weighted_by'] not in found:
            raise ConfigError(f"ActCLR: terms.{number}.weighted_by is {term['weighted_by']!r}, expected the 'inside' "
                              f'view of a term before it: {sorted(found)}')
        found |= {term['inside']} if 'inside' in term else set()
    if not checked:
        raise ConfigError('ActCLR: terms is empty, expected at least one query of stage two')
    return checked


def _region_scalars(regions: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Mean of A and its share above one half over the persons present, all motion-adaptive views together."""
    present = [region[mask] for region, mask in regions.values() if mask.any()]
    if not present:
        # nobody in the whole batch: no mask, so no numbers about it
        return {}
    joined = torch.cat(present)
    return {'mask_mean': joined.mean(), 'mask_share': (joined > 0.5).float().mean()}
