# ActCLR with the constants and switches of the authors' release (December 2023) without its defects: three loss terms,
# body parts as masks, the anchor of the batch, averaged keys. Starts from an encoder: --cfg-options init_from=CKPT
_base_ = './actclr_paper.py'
five = [
    dict(type='RandomFlip', p=0.5),
    dict(type='RandomRotation'),
    dict(type='GaussianNoise', std=0.01, p=0.5),
    dict(type='GaussianBlur', p=0.5, normalise=False),
    dict(type='AxisMask', p=0.5)]
seven = [
    *five[:2],
    dict(type='GaussianNoise', std=0.05, p=0.5),
    *five[3:],
    dict(type='TimeInterpolate', p=0.5),
    dict(type='BoneRescale')]
# all of them for 100 epochs, then fewer and fewer, drawn anew every epoch; in the end not even crop and shear
weak = [dict(type='Curriculum', phases=[dict(start=0, transforms={{_base_.weak}}), dict(start=300, transforms=[])])]
normal = [*weak, dict(type='Curriculum', phases=[
    dict(start=0, transforms=five), dict(start=100, transforms=five, count=3),
    dict(start=200, transforms=five, count=1), dict(start=300, transforms=[])])]
strong = [*weak, dict(type='Curriculum', phases=[
    dict(start=0, transforms=seven), dict(start=100, transforms=seven, count=5),
    dict(start=200, transforms=seven, count=3), dict(start=300, transforms=[])])]
adain = [dict(type='SkeletonAdaIN')]
mix = [dict(type='Curriculum', phases=[
    dict(start=0, transforms=[dict(type='SkeletonMix')]),
    dict(start=200, transforms=[dict(type='SkeletonMix', parts=(1, 2), cells=(1, 3))])])]
model = dict(
    stage_epochs=(0, 350),
    terms=[
        dict(inside='normal', outside='strong'),
        dict(inside='styled', outside='styled_mix'),
        dict(mixed='mix', weighted_by='styled')],
    anchor='batch',
    key_pooling='mean',
    data_preprocessor=dict(views=dict(
        _delete_=True,
        query=dict(joints=weak),
        key=dict(joints=weak),
        normal=dict(joints=normal),
        strong=dict(joints=strong),
        styled=dict(joints=weak, stream=adain),
        styled_mix=dict(base='styled', stream=[*adain, *mix]),
        mix=dict(base='styled', stream=[dict(type='SkeletonMix')]))),
    backbone=dict(
        channels=[16, 16, 16, 16, 32, 32, 32, 64, 64, 256], strided_units=[5, 8], init_std=0.02),
    projector=dict(init_std=0.02),
    memory=dict(size=65536),
    actionlet_head=dict(selection='saturate', smoothing='part', signed=True, channels='mean', pooling='selection'),
    mining_loss=dict(squared=True, ceiling=0.95, top_k=8192))
