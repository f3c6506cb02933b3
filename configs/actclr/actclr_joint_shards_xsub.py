_base_ = [
    '../_base_/datasets/shards.py',
    '../_base_/models/actclr_paper.py',
    '../_base_/schedules/paper_400e.py',
    '../_base_/default_runtime.py']
