"""Trained models outside of PyTorch."""
from .closed_form import closed_anchor_gradient
from .exporting import export_onnx, read_metadata
from .graph import ExportedModel

__all__ = ['ExportedModel', 'closed_anchor_gradient', 'export_onnx', 'read_metadata']
