"""What lies between the encoder's feature map and the contrastive losses."""
from .energy_drop import EnergyDrop, energy_attention, energy_drop
from .projection import ProjectionMLP

__all__ = ['EnergyDrop', 'ProjectionMLP', 'energy_attention', 'energy_drop']
