# A training set in parts (archive.py shard): every process reads parts of its own, kNN runs on the archive at
# data_root. On machines that each have other parts on their disks, divide=False takes all that a machine finds.
_base_ = './skeleton.py'
archives = 'data/shards/*'
divide = True
train_dataloader = dict(
    sampler=dict(_delete_=True, type='ShardSampler'),
    dataset=dict(
        _delete_=True, type='ShardedSkeletonDataset', archives=archives, divide=divide, split='xsub', layout='ntu25',
        num_frames=50, max_persons=2))
