"""One module per format that archives can be written in; each registers its exporter in ``EXPORTERS``."""
from .base import BaseExporter
from .crosclr import CrosCLRExporter
from .csv_files import CSVExporter
from .flat import FlatExporter
from .pyskl import PysklExporter

__all__ = ['BaseExporter', 'CSVExporter', 'CrosCLRExporter', 'FlatExporter', 'PysklExporter']
