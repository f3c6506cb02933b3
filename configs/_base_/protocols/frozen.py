# what any checkpoint that carries a model card knows of a data set, without training
_base_ = ['../datasets/skeleton.py', '../default_runtime.py']
model = 'checkpoint'
remap = True
