_base_ = [
    '../_base_/datasets/pkummd2_xsub.py',
    '../_base_/models/aimclr_3s_paper.py',
    '../_base_/schedules/paper_300e.py',
    '../_base_/default_runtime.py']
