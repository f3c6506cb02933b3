_base_ = [
    '../_base_/datasets/ntu120_xset.py',
    '../_base_/models/actclr_3s_release.py',
    '../_base_/schedules/release_350e.py',
    '../_base_/default_runtime.py']
