# the encoder of any checkpoint that carries a model card (init_from=CKPT), and a linear classifier on it
init_from = ''
from_scratch = False
num_classes = 'archive'
model = dict(
    type='Recognizer',
    layout='ntu25',
    backbone=dict(type='checkpoint'),
    head=dict(type='ClassificationHead', num_classes=num_classes),
    frozen=False,
    data_preprocessor=dict(type='ContrastivePreprocessor', layout='ntu25', views=dict(view=dict(joints=[]))))
custom_hooks = [dict(type='EncoderInitHook', init_from=init_from, from_scratch=from_scratch)]
