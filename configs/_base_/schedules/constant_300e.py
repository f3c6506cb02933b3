# the learning rate of SkeleMixCLR stays as it is: its one step lies at the end
_base_ = './paper_300e.py'
param_scheduler = dict(milestones=[300])
