"""Cross-view contrast: another stream says which keys of the memory are positives."""
import torch
from torch import Tensor


def cross_contrast(positive: Tensor, own: Tensor, teacher: Tensor, temperature: float, topk: int = 1,
                   context: bool = True) -> Tensor:
    """Loss of one stream u taught by another, v, of CrosSCLR (Li et al., CVPR 2021, cross-view contrastive learning).

    The logits are ``[z_q^u.z_k^u, s_u, s_u * s_v] / temperature``, the last block, elementwise, called context. The
    positives P are the own key and, in both blocks, the columns of the ``topk`` largest s_v; the loss is
    ``-(1 / |P|) sum over p in P of log softmax(logits)[p]``. As in the authors' code gradients flow into the teacher
    by its similarities in the context.

    Args:
        positive: (N, 1) similarity of u's query to its key.
        own: (N, K) s_u, similarities of u's query to u's memory; K may be zero.
        teacher: (N, K) s_v, similarities of v's query to v's memory, column by column of the same sequences.
        temperature: tau.
        topk: Nearest keys of the teacher that are positives; all K where there are fewer.
        context: Whether the third block is there.

    Returns:
        Mean loss over the batch, a scalar.
    """
    num_keys = own.shape[1]
    nearest = teacher.detach().topk(min(topk, num_keys), dim=1).indices
    blocks, columns = [positive, own], [nearest.new_zeros(len(own), 1), 1 + nearest]
    if context:
        blocks.append(own * teacher)
        columns.append(1 + num_keys + nearest)
    log_p = (torch.cat(blocks, 1) / temperature).log_softmax(1)
    return -log_p.gather(1, torch.cat(columns, 1)).mean()
