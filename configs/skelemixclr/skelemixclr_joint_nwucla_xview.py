_base_ = [
    '../_base_/datasets/nwucla_xview.py',
    '../_base_/models/skelemixclr_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
