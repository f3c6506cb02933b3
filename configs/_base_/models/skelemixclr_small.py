# SkeleMixCLR with the recipe for small sets (see moco_small.py): its encoder, memory and weak views. Temperature and
# batch norm of the projector are the method's. A cell has 8 frames there: 2 or 3 of 4 cells stand for 7 to 11 of 16.
_base_ = './moco_small.py'
model = dict(
    type='SkeleMixCLR',
    parts=(2, 3),
    cells=(2, 3),
    repeat=1,
    region_weight=0.5,
    projector=dict(batch_norm=True),
    loss=dict(temperature=0.2))
