_base_ = [
    '../_base_/datasets/synthetic_xsub.py',
    '../_base_/models/actclr_3s_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
# it is known what moves in these data: does the actionlet find it?
default_hooks = dict(actionlet_overlap=dict(type='ActionletOverlapHook'))
