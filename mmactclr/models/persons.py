"""From a batch of sequences with several persons to rows of the encoder, and back."""
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PersonRows:
    """Which sequence and person each row of the encoder's input is.

    Attributes:
        owner: (P,) sequence of each row.
        person: (P,) person within the sequence.
        present: (P,) whether the person is there; absent persons are all-zero rows.
        shape: Sequences N and persons M of the batch.
    """

    owner: Tensor
    person: Tensor
    present: Tensor
    shape: tuple[int, int]

    def mean(self, values: Tensor, present_only: bool = False) -> Tensor:
        """Average (P, D) rows over the persons of each sequence; returns (N, D).

        A sequence without any row that counts averages to zero.
        """
        weight = self.present.to(values.dtype) if present_only else values.new_ones(len(values))
        total = values.new_zeros(self.shape[0], values.shape[1])
        total = total.index_add(0, self.owner, values * weight[:, None])
        return total / self.count(weight).clamp(min=1)[:, None]

    def count(self, weight: Tensor | None = None) -> Tensor:
        """Rows of each sequence, (N,)."""
        weight = self.owner.new_ones(len(self.owner)) if weight is None else weight
        return weight.new_zeros(self.shape[0]).index_add(0, self.owner, weight)

    def unfold(self, rows: Tensor) -> Tensor:
        """Spread (P, ...) rows to (N, M, ...), zero where a person was left out."""
        n, m = self.shape
        out = rows.new_zeros(n * m, *rows.shape[1:])
        return out.index_copy(0, self.owner * m + self.person, rows).view(n, m, *rows.shape[1:])


def fold_persons(x: Tensor, mask: Tensor, skip_absent: bool) -> tuple[Tensor, PersonRows]:
    """Turn (N, M, T, V, C) sequences into encoder rows (P, C, T, V).

    Args:
        x: (N, M, T, V, C) coordinates.
        mask: (N, M) who is present.
        skip_absent: Leave absent persons out of the rows (they then take no part in batch-norm
            statistics and pooling); a sequence without anybody keeps its first person.

    Returns:
        The rows and their bookkeeping.
    """
    n, m = mask.shape
    owner = torch.arange(n, device=x.device).repeat_interleave(m)
    person = torch.arange(m, device=x.device).repeat(n)
    rows = x.permute(0, 1, 4, 2, 3).reshape(n * m, x.shape[4], x.shape[2], x.shape[3])
    present = mask.reshape(-1)
    if skip_absent:
        kept = mask.clone()
        kept[:, 0] |= ~mask.any(1)
        chosen = kept.reshape(-1).nonzero().squeeze(1)
        rows, owner, person, present = rows[chosen], owner[chosen], person[chosen], present[chosen]
    return rows, PersonRows(owner, person, present, (n, m))


@dataclass(frozen=True)
class DistinctRows:
    """Rows of an encoder's input without repetition.

    Attributes:
        first: (D,) rows to compute.
        where: (P,) which of them each row equals.
        copies: How many rows the last one stands for.
    """

    first: Tensor
    where: Tensor
    copies: int


def distinct_rows(rows: PersonRows) -> DistinctRows | None:
    """All persons who are present and one of the absent, who are all zero; None where that saves nothing."""
    absent = ~rows.present
    copies = int(absent.sum())
    if copies < 2:
        return None
    first = torch.cat([rows.present.nonzero().squeeze(1), absent.nonzero()[0]])
    where = torch.where(absent, len(first) - 1, rows.present.cumsum(0) - 1)
    return DistinctRows(first, where, copies)


def persons_there(x: Tensor) -> Tensor:
    """Which persons (N, M) of prepared joints (N, M, T, V, C) are there: those that are not zero throughout."""
    return x.flatten(2).abs().amax(2) > 0
