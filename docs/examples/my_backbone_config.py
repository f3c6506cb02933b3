_base_ = '../../configs/actclr/actclr_joint_synthetic_xsub.py'
custom_imports = dict(imports=['my_backbone'], allow_failed_imports=False)
model = dict(backbone=dict(_delete_=True, type='JointConv', out_channels=64))
