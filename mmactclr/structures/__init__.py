"""Skeleton layouts and the sample that carries labels and predictions."""
from .layouts import Layout, get_layout, list_layouts, register_layout
from .remap import filled_joints, remap_joints, stand_ins
from .skeleton_data_sample import SkeletonDataSample

__all__ = [
    'Layout', 'SkeletonDataSample', 'filled_joints', 'get_layout', 'list_layouts', 'register_layout', 'remap_joints',
    'stand_ins'
]
