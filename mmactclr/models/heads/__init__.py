"""Heads on the dense feature map and on what is pooled from it."""
from .actionlet import (
    ActionletHead,
    actionlet_map,
    anchor_gradient,
    nearest_anchor,
    part_neighbourhood,
    select_region,
    semantic_aware_pooling,
    upsample_region,
)
from .classification import ClassificationHead

__all__ = ['ActionletHead', 'ClassificationHead', 'actionlet_map', 'anchor_gradient', 'nearest_anchor',
           'part_neighbourhood', 'select_region', 'semantic_aware_pooling', 'upsample_region']
