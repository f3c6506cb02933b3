"""Tiny methods and batches that tests of several methods share."""
import torch
import torch.nn.functional as F

from mmactclr.models.persons import fold_persons
from mmactclr.registry import MODELS
from mmactclr.utils import load_config


def build(config: str, options: dict, keys: int):
    """A tiny model with so many keys in its memory."""
    torch.manual_seed(0)
    model = MODELS.build(load_config(config, options).model)
    model.init_weights()
    generator = torch.Generator().manual_seed(4)
    for branch in model.branches().values():
        # large enough that queries differ: the release's initialisation of 0.02 makes them nearly equal
        for parameter in [*branch.backbone.parameters(), *branch.projector.parameters()]:
            parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        branch.memory.enqueue(F.normalize(torch.randn(keys, 4, generator=generator), dim=1))
    return model


def make_batch(n: int = 6) -> dict:
    generator = torch.Generator().manual_seed(2)
    mask = torch.ones(n, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    joints = torch.randn(n, 2, 1, 20, 3, generator=generator) + 0.1 * torch.randn(
        n, 2, 16, 20, 3, generator=generator).cumsum(2)
    return dict(inputs=joints * mask[:, :, None, None, None], mask=mask, index=torch.arange(n))


def in_double(model):
    """The model with an encoder in float64, where a run rounds the feature map to float32."""
    def encode(backbone, x, mask):
        rows_in, rows = fold_persons(x.double(), mask, model.skip_absent)
        return backbone(rows_in), rows, None

    model = model.double()
    model.encode_distinct = encode
    return model
