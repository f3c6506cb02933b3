"""A training step of ActCLR without any shortcut, to measure against.

Actionlets by differentiating the feature map, the teacher's similarities anew for every term, a copy of the memory for
every product, all losses added up before one backward pass, and persons who are absent encoded like the others.
"""
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmactclr.models import ActCLR
from mmactclr.models.persons import PersonRows, fold_persons

from .plain_encoder import PlainSTGCN


class PlainActCLR(nn.Module):
    """Both stages of a method in the state it is in; the original is left alone.

    Args:
        method: Method to take weights, memory and switches from.
        momentum: Weight of the old key encoder.
    """

    memory: Tensor

    def __init__(self, method: ActCLR, momentum: float = 0.999) -> None:
        super().__init__()
        self.method = deepcopy(method)
        self.encoder, self.projector = PlainSTGCN(method.backbone), self.method.projector
        self.encoder_k = PlainSTGCN(method.backbone_k).requires_grad_(False)
        self.projector_k = self.method.projector_k
        self.register_buffer('memory', method.memory.keys.t().clone())
        self.filled = int(method.memory.filled)
        self.pointer = int(method.memory.pointer)
        self.momentum = momentum
        del self.method.backbone, self.method.backbone_k

    def trained(self) -> list[nn.Parameter]:
        """What the optimiser moves."""
        return [*self.encoder.parameters(), *self.projector.parameters()]

    def step(self, batch: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """One step on augmented views, as :meth:`BaseAlgorithm.training_views` gives them; the losses by term."""
        views, masks = batch['inputs'][self.method.stream], batch['masks']
        if self.method.stage == 1:
            losses, z_k = self.contrast(views, masks)
        else:
            losses, z_k = self.mine(views, masks, batch['mixes'])
        cast(Tensor, sum(losses.values())).backward()
        optimizer.step()
        optimizer.zero_grad()
        self.follow()
        self.enqueue(z_k)
        return {name: loss.detach() for name, loss in losses.items()}

    def contrast(self, views: Mapping[str, Tensor], masks: Mapping[str, Tensor]
                 ) -> tuple[dict[str, Tensor], Tensor]:
        """Eq. 10."""
        z_q = self.project(self.encoder, self.projector, views['query'], masks['query'])
        with torch.no_grad():
            z_k = self.project(self.encoder_k, self.projector_k, views['key'], masks['key'])
        positive = torch.einsum('nc,nc->n', [z_q, z_k]).unsqueeze(-1)
        logits = torch.cat([positive, z_q @ self.queue()], dim=1) / self.method.contrastive_loss.temperature
        return {'loss_nce': F.cross_entropy(logits, torch.zeros_like(logits[:, 0], dtype=torch.long))}, z_k

    def mine(self, views: Mapping[str, Tensor], masks: Mapping[str, Tensor], mixes: Mapping[str, Any]
             ) -> tuple[dict[str, Tensor], Tensor]:
        """Eq. 11 for every term."""
        z_anchor = self.anchor(views['key'])
        with torch.no_grad():
            z_k = self.key(views['key'], masks['key'], z_anchor)
        queries, regions = [], dict[str, tuple[Tensor, Tensor]]()
        for term in self.method.terms:
            if 'mixed' in term:
                name = term['mixed']
                target = self.method.mixed_target(z_k, *regions[term['weighted_by']], mixes[name])
                queries.append((name, views[name], masks[name], target))
                continue
            name, act, non = term['inside'], views[term['inside']], views[term['outside']]
            region = self.region(act, masks[name], z_anchor)
            regions[name] = region, masks[name]
            mixed = region[..., None] * act + (1 - region[..., None]) * non
            queries.append((name, mixed, masks[name] | masks[term['outside']], z_k))
        losses = {}
        for name, query, mask, target in queries:
            z_q = self.project(self.encoder, self.projector, query, mask)
            losses[f'loss_mining_{name}'] = self.similarity_mining(z_q, target)
        return losses, z_k

    def similarity_mining(self, z_q: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of the student's similarities to the memory with the teacher's."""
        loss = self.method.mining_loss
        student, teacher = z_q @ self.queue(), F.normalize(target, dim=1) @ self.queue()
        if loss.ceiling is not None:
            teacher = torch.where(teacher > loss.ceiling, torch.full_like(teacher, -1), teacher)
        if loss.top_k is not None and loss.top_k < teacher.shape[1]:
            teacher, chosen = torch.topk(teacher, loss.top_k, dim=1)
            student = torch.gather(student, 1, chosen)
        if loss.squared:
            student = student ** 2
        teacher = F.softmax(teacher / loss.tau_k, dim=1)
        return -(teacher * F.log_softmax(student / loss.tau_q, dim=1)).sum(1).mean()

    def anchor(self, keys: Tensor) -> Tensor:
        """Projection (1, D) of the static anchor."""
        anchor = keys.mean(0) if self.method.anchor_source == 'batch' else self.method.anchor
        self.encoder_k.eval()
        with torch.no_grad():
            mask = anchor[None].flatten(2).abs().amax(2) > 0
            z = self.project(self.encoder_k, self.projector_k, anchor[None], mask)
        self.encoder_k.train()
        return z

    def region(self, x: Tensor, mask: Tensor, z_anchor: Tensor) -> Tensor:
        """Selection (N, M, T, V) that the online encoder makes in a view."""
        self.encoder.eval()
        with torch.no_grad():
            feature_map, rows = self.encode(self.encoder, x, mask)
        self.encoder.train()
        raw = self.actionlet(feature_map, rows, self.projector, z_anchor)
        return rows.unfold(self.method.actionlet_head.region(raw, x.shape[2]))

    def actionlet(self, feature_map: Tensor, rows: PersonRows, projector: nn.Module, z_anchor: Tensor) -> Tensor:
        """Eq. 4-5 by differentiating the distance to the anchor with respect to every cell of the feature map."""
        head = self.method.actionlet_head
        with torch.enable_grad():
            leaf = feature_map.detach().requires_grad_(True)
            z = projector(rows.mean(leaf.mean((2, 3))))
            gradient = torch.autograd.grad(-F.cosine_similarity(z, z_anchor, dim=1).sum(), leaf)[0]
        alpha = gradient.mean((2, 3), keepdim=True)
        weighted = (alpha if head.signed else alpha.relu()) * feature_map
        activation = weighted.sum(1) if head.channels == 'sum' else weighted.mean(1)
        return activation.relu() @ head.neighbourhood * rows.present[:, None, None]

    def key(self, x: Tensor, mask: Tensor, z_anchor: Tensor) -> Tensor:
        """Key (N, D) of a weak view, pooled over its actionlet."""
        feature_map, rows = self.encode(self.encoder_k, x, mask)
        raw = self.actionlet(feature_map, rows, self.projector_k, z_anchor)
        pooled = rows.mean(self.method.actionlet_head.pool(feature_map, raw), present_only=True)
        z_k = F.normalize(self.projector_k(pooled), dim=1)
        if self.method.key_pooling == 'safp':
            return z_k
        return F.normalize(z_k + F.normalize(self.projector_k(rows.mean(feature_map.mean((2, 3)))), dim=1), dim=1)

    def encode(self, encoder: nn.Module, x: Tensor, mask: Tensor) -> tuple[Tensor, PersonRows]:
        """Feature map of all persons of (N, M, T, V, C), and whose rows they are."""
        inputs, rows = fold_persons(x, mask, skip_absent=False)
        return encoder(inputs), rows

    def project(self, encoder: nn.Module, projector: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        """Unit-length projection (N, D) of a view (N, M, T, V, C)."""
        feature_map, rows = self.encode(encoder, x, mask)
        return F.normalize(projector(rows.mean(feature_map.mean((2, 3)))), dim=1)

    def queue(self) -> Tensor:
        """A copy (D, K) of the memory, which is written while graphs still need it."""
        return self.memory[:, :self.filled].clone().detach()

    @torch.no_grad()
    def follow(self) -> None:
        """Move the key encoder, parameter by parameter."""
        for online, key in ((self.encoder, self.encoder_k), (self.projector, self.projector_k)):
            for source, target in zip(online.parameters(), key.parameters(), strict=True):
                target.data = target.data * self.momentum + source.data * (1 - self.momentum)

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys."""
        size = self.memory.shape[1]
        slots = (self.pointer + torch.arange(len(keys), device=keys.device)) % size
        self.memory[:, slots] = keys.t()
        self.pointer = (self.pointer + len(keys)) % size
        self.filled = min(size, self.filled + len(keys))
