# CMD's losses with the recipe for small sets (see moco_small.py): its encoder, memory, temperature and weak views
_base_ = './skeletonclr_3s_small.py'
model = dict(
    type='CMD',
    # as many of the memory as half of it
    distillation=dict(type='NeighbourDistillationLoss', tau_student=0.1, tau_teacher=0.05, top_k=96))
