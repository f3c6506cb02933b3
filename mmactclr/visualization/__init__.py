"""Pictures: skeletons, actionlets and training curves, as PNG files without a display."""
from .actionlet import ActionletExample, draw_actionlet_sheet, drawn_frames, frame_weights
from .comparison import draw_lines
from .curves import draw_curves, read_history
from .heat_maps import draw_joint_heat_map, draw_time_heat_map
from .motion import draw_mean_motion, draw_motion
from .overlap import OverlapRow, draw_overlap, overlap_cells
from .report import draw_confusion, draw_timelines, read_confusion, read_timelines
from .scatter import draw_scatter
from .skeleton import add_colourbar, draw_skeleton, save_png, view_limits
from .space import Viewpoint

__all__ = [
    'ActionletExample', 'OverlapRow', 'Viewpoint', 'add_colourbar', 'draw_actionlet_sheet', 'draw_confusion',
    'draw_curves',
    'draw_joint_heat_map', 'draw_lines', 'draw_mean_motion', 'draw_motion', 'draw_overlap', 'draw_scatter',
    'draw_skeleton', 'draw_time_heat_map', 'draw_timelines', 'drawn_frames', 'frame_weights', 'overlap_cells',
    'read_confusion', 'read_history', 'read_timelines', 'save_png', 'view_limits',
]
