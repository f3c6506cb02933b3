_base_ = [
    '../_base_/datasets/pkummd2_xview.py',
    '../_base_/models/aimclr_paper.py',
    '../_base_/schedules/paper_300e.py',
    '../_base_/default_runtime.py']
