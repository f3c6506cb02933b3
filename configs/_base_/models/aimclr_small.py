# AimCLR with the recipe for small sets (see moco_small.py): its encoder, memory, temperature and weak views. The
# extreme view adds the method's transformations to them, and mining starts half-way as in the paper.
_base_ = './moco_small.py'
extreme = [
    # the weak views of moco_small.py
    dict(type='RandomWindow', low=0.4, high=1.0),
    dict(type='RandomShear', amplitude=0.3),
    dict(type='BoneJitter', scale=0.25),
    dict(type='PostureJitter'),
    dict(type='RandomFlip', p=0.5),
    dict(type='RandomRotation'),
    dict(type='GaussianNoise', std=0.01, p=0.5),
    dict(type='GaussianBlur', p=0.5),
    dict(type='AxisMask', p=0.5),
    # in the paper's list, not in the released default
    dict(type='TemporalFlip', p=0.0)]
model = dict(
    type='AimCLR',
    mining_epoch=150,
    drop=dict(type='EnergyDrop', threshold=0.7),
    data_preprocessor=dict(views=dict(extreme=dict(joints=extreme))))
