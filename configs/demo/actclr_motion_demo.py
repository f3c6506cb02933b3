# The built-in motion set, two stages, minutes on two cores. Motion is the stream that suits it: its postures at rest
# are random on purpose.
_base_ = [
    '../_base_/datasets/synthetic_xsub.py',
    '../_base_/models/actclr_small.py',
    '../_base_/schedules/small_300e.py',
    '../_base_/default_runtime.py']
runner_type = 'QuietRunner'
model = dict(stream='motion', stage_epochs=(60, 40), data_preprocessor=dict(streams=['motion']))
train_cfg = dict(max_epochs=100, val_interval=10)
param_scheduler = dict(T_max=100)
# it is known what moves in these data: does the actionlet find it?
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=-1), actionlet_overlap=dict(type='ActionletOverlapHook'))
