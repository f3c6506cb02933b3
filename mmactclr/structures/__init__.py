"""Skeleton layouts and the sample that carries labels and predictions."""
from .layouts import Layout, get_layout, list_layouts, register_layout
from .remap import remap_joints
from .skeleton_data_sample import SkeletonDataSample

__all__ = [
    'Layout', 'SkeletonDataSample', 'get_layout', 'list_layouts', 'register_layout', 'remap_joints'
]
