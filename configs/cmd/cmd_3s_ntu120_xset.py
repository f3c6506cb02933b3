_base_ = [
    '../_base_/datasets/ntu120_xset.py',
    '../_base_/models/cmd_3s_paper.py',
    '../_base_/schedules/cmd_450e.py',
    '../_base_/default_runtime.py']
train_dataloader = dict(batch_size=64)
