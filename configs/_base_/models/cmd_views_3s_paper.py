# CMD with the views of its authors' code in place of weak ones
_base_ = './cmd_3s_paper.py'
views = [
    dict(type='RandomWindow', low=0.1, high=1.0),
    dict(type='OneOf', transforms=[
        dict(type='RandomShear', amplitude=1.0),
        dict(type='JointCorruption', share=0.6, zeroed=0.5)])]
model = dict(data_preprocessor=dict(views=dict(query=dict(joints=views), key=dict(joints=views))))
