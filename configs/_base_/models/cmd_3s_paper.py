# CMD's losses with the constants of its authors' code, on the encoder and weak views of SkeletonCLR
_base_ = './skeletonclr_3s_paper.py'
model = dict(
    type='CMD',
    branch=dict(memory=dict(size=16384)),
    # as many of the memory as half of it
    distillation=dict(type='NeighbourDistillationLoss', tau_student=0.1, tau_teacher=0.05, top_k=8192))
