"""Pictures: skeletons, actionlets and training curves, as PNG files without a display."""
from .actionlet import ActionletExample, draw_actionlet_sheet, drawn_frames, frame_weights
from .curves import draw_curves, read_history
from .motion import draw_motion
from .report import draw_confusion, draw_timelines, read_confusion, read_timelines
from .skeleton import add_colourbar, draw_skeleton, save_png, view_limits

__all__ = [
    'ActionletExample', 'add_colourbar', 'draw_actionlet_sheet', 'draw_confusion', 'draw_curves', 'draw_motion',
    'draw_skeleton', 'draw_timelines', 'drawn_frames', 'frame_weights', 'read_confusion', 'read_history',
    'read_timelines', 'save_png', 'view_limits',
]
