_base_ = [
    '../_base_/datasets/pool.py',
    '../_base_/models/crosclr_3s_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
model = dict(branch=dict(memory=dict(size=2048)))
