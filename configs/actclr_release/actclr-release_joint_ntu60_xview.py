_base_ = [
    '../_base_/datasets/ntu60_xview.py',
    '../_base_/models/actclr_release.py',
    '../_base_/schedules/release_350e.py',
    '../_base_/default_runtime.py']
