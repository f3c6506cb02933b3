_base_ = [
    '../_base_/datasets/utdmhad_xsub.py',
    '../_base_/models/skelemixclr_3s_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
