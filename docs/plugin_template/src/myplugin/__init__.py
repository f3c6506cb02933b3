"""A plugin for mmactclr; importing it registers what it adds."""
from .backbone import JointAttention
from .converter import TakeJSONConverter
from .method import SimSiam
from .transform import Sway

__all__ = ['JointAttention', 'SimSiam', 'Sway', 'TakeJSONConverter']
