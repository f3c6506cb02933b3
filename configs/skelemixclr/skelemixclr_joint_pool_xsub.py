_base_ = [
    '../_base_/datasets/pool.py',
    '../_base_/models/skelemixclr_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
# 3 to 5 of 7 cells stand for 7 to 11 of 16
model = dict(memory=dict(size=2048), cells=(3, 5))
