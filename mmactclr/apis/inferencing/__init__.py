"""From a recording to classes, embeddings, actionlets and neighbours."""
from .gallery import MotionGallery, Neighbour
from .inferencer import SkeletonInferencer
from .recordings import Recording, read_recordings
from .results import Inference
from .streaming import SkeletonStream

__all__ = ['Inference', 'MotionGallery', 'Neighbour', 'Recording', 'SkeletonInferencer', 'SkeletonStream',
           'read_recordings']
