_base_ = [
    '../_base_/datasets/pool.py',
    '../_base_/models/cmd_3s_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
# as many of the memory as half of it
model = dict(branch=dict(memory=dict(size=2048)), distillation=dict(top_k=1024))
