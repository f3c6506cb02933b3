"""Transforms of batched skeleton motion: layout-driven, random per sample, on any device."""
from .adaptation import SkeletonAdapter, fit_adapter
from .base import SkeletonTransform, build_transforms, run_transforms
from .choice import OneOf
from .curriculum import Curriculum
from .mixing import SkeletonAdaIN, SkeletonMix, cyclic_partner, draw_block, paste_block
from .preparation import AlignShoulders, Centre, ResizeFrames, default_preparation, prepare
from .random import SampleRandom, random_partner
from .spatial import (
    AxisMask,
    BoneJitter,
    BoneRescale,
    GaussianNoise,
    JointCorruption,
    PostureJitter,
    RandomFlip,
    RandomRotation,
    RandomShear,
    mirror,
)
from .streams import STREAMS, ToStream, from_bone, to_bone, to_motion, to_stream
from .temporal import GaussianBlur, RandomTemporalCrop, RandomWindow, TemporalFlip, TimeInterpolate

__all__ = [
    'STREAMS', 'AlignShoulders', 'AxisMask', 'BoneJitter', 'BoneRescale', 'Centre', 'Curriculum', 'GaussianBlur',
    'GaussianNoise', 'JointCorruption', 'OneOf', 'PostureJitter', 'RandomFlip', 'RandomRotation', 'RandomShear',
    'RandomTemporalCrop', 'RandomWindow', 'ResizeFrames', 'SampleRandom',
    'SkeletonAdaIN', 'SkeletonAdapter', 'SkeletonMix', 'SkeletonTransform', 'TemporalFlip', 'TimeInterpolate',
    'ToStream', 'build_transforms', 'cyclic_partner', 'default_preparation', 'draw_block', 'fit_adapter', 'from_bone',
    'mirror', 'paste_block', 'prepare', 'random_partner', 'run_transforms', 'to_bone', 'to_motion', 'to_stream',
]
