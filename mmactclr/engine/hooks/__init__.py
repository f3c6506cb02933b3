"""Hooks that drive the state of a method and report on a run."""
from .actionlet_overlap_hook import ActionletOverlapHook
from .actionlet_stats_hook import ActionletStatsHook
from .collapse_hook import CollapseHook
from .compile_encoder_hook import CompileEncoderHook
from .data_guard_hook import DataGuardHook
from .divergence_hook import DivergenceHook
from .encoder_init_hook import EncoderInitHook
from .feature_cache_hook import FeatureCacheHook
from .label_subset_hook import LabelSubsetHook
from .memory_bank_hook import MemoryBankHook
from .metrics_file_hook import MetricsFileHook
from .momentum_update_hook import MomentumUpdateHook
from .non_finite_hook import NonFiniteHook
from .peer_watch_hook import PeerWatchHook
from .predictions_file_hook import PredictionsFileHook
from .progress_hook import ProgressHook
from .report_hook import ReportHook
from .resident_data_hook import ResidentDataHook
from .run_checkpoint_hook import RunCheckpointHook
from .run_line_hook import RunLineHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .static_anchor_hook import StaticAnchorHook
from .training_progress_hook import TrainingProgressHook

__all__ = [
    'ActionletOverlapHook', 'ActionletStatsHook', 'CollapseHook', 'CompileEncoderHook', 'DataGuardHook',
    'DivergenceHook', 'EncoderInitHook', 'FeatureCacheHook', 'LabelSubsetHook', 'MemoryBankHook', 'MetricsFileHook',
    'MomentumUpdateHook', 'NonFiniteHook', 'PeerWatchHook', 'PredictionsFileHook', 'ProgressHook', 'ReportHook',
    'ResidentDataHook', 'RunCheckpointHook', 'RunLineHook', 'SafeCheckpointHook', 'StaticAnchorHook',
    'TrainingProgressHook',
]
