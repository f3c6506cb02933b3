# NTU's joints and frames, so that public NTU weights can be its start: --cfg-options init_from.joint=CKPT. They have no
# projector, and mining keys of a fresh one among themselves collapses: stage one comes first. The memory and the
# teacher's choice from it suit a few hundred sequences.
_base_ = [
    '../_base_/datasets/utdmhad_xsub.py',
    '../_base_/models/actclr_3s_release.py',
    '../_base_/schedules/release_350e.py',
    '../_base_/default_runtime.py']
layout = 'ntu25'
remap = True
num_frames = 50
model = dict(branch=dict(stage_epochs=(50, 300), memory=dict(size=192), mining_loss=dict(top_k=96)))
