_base_ = [
    '../_base_/datasets/ntu120_xsub.py',
    '../_base_/models/skelemixclr_paper.py',
    '../_base_/schedules/constant_300e.py',
    '../_base_/default_runtime.py']
