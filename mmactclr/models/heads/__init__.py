"""Heads on the dense feature map."""
from .actionlet import (
    ActionletHead,
    actionlet_map,
    anchor_gradient,
    part_neighbourhood,
    select_region,
    semantic_aware_pooling,
    upsample_region,
)

__all__ = ['ActionletHead', 'actionlet_map', 'anchor_gradient', 'part_neighbourhood', 'select_region',
           'semantic_aware_pooling', 'upsample_region']
