# Five public sets of five recording set-ups as one training set without labels, brought to the joints of NTU RGB+D;
# kNN on UTD-MHAD watches. Another pool: archives=[...], with `:SPLIT` behind a folder whose training part has
# another name, and `:` behind one that has no protocol.
_base_ = './small.py'
archives = [
    'data/utd_mhad:xsub', 'data/nw_ucla:xview', 'data/ui_prmd_all:xsub', 'data/hdm05_11:xsub', 'data/bandai_namco2:']
data_root = 'data/utd_mhad'
layout = 'ntu25'
split = 'xsub'
num_frames = 50
max_persons = 1
remap = True
train_dataloader = dict(
    sampler=dict(_delete_=True, type='ShardSampler'),
    dataset=dict(
        _delete_=True, type='ShardedSkeletonDataset', archives=archives, layout=layout, num_frames=num_frames,
        max_persons=max_persons, remap=remap))
