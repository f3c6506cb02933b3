"""The authors' weights, through archive, remapping, preparation and evaluators, give the numbers known of them."""
import numpy as np
import pytest
import torch

from mmactclr.apis import init_model
from mmactclr.apis.actionlets import actionlet_part_shares
from mmactclr.datasets import SkeletonDataset
from mmactclr.engine.checkpoints.official_files import convert_file
from mmactclr.evaluation import KNNEvaluator, LogisticEvaluator
from mmactclr.registry import CONVERTERS

WEIGHTS = {name: f'official_{name}_ntu60_xview_joint_linear.pt' for name in ('actclr', 'aimclr')}
# accuracies in %, kNN (k 20) and logistic regression, measured with other code and joint maps made by hand
KNOWN = {
    ('actclr', 'utd_mhad', 'xsub'): (83.7, 85.1), ('actclr', 'ui_prmd', 'xsub'): (90.8, 93.6),
    ('actclr', 'nw_ucla', 'xview'): (86.4, 87.7), ('actclr', 'nw_ucla', 'xview_clean'): (89.2, 84.6),
    ('aimclr', 'utd_mhad', 'xsub'): (77.9, 77.4)}
TOLERANCE = 1.5
# share of the actionlet on a body part, mean over a class, measured in the same way
LIMBS = {
    'right arm swipe to the left': dict(right_arm=.73), 'right arm swipe to the right': dict(right_arm=.83),
    'right hand wave': dict(right_arm=.81), 'right hand knock on door': dict(right_arm=.82),
    'right hand draw circle (clockwise)': dict(right_arm=.78),
    'tennis right hand forehand swing': dict(right_arm=.50),
    'forward lunge (left foot forward)': dict(left_leg=.60, right_leg=.31)}
BOTH_ARMS = ('two hand front clap', 'two hand push', 'cross arms in the chest', 'arm curl (two arms)',
             'basketball shoot')
BOTH_LEGS = ('walking in place', 'jogging in place', 'sit to stand', 'stand to sit', 'squat (two arms stretch out)')
LEGS_BEFORE_ARM = ('bowling (right hand)', 'right hand pick up and throw')


@pytest.fixture(scope='module')
def converted(golden_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    for name, file in WEIGHTS.items():
        convert_file(golden_dir / file, folder / f'{name}.pth')
    return folder


@pytest.fixture(scope='module')
def archives(real_data_dir, tmp_path_factory):
    """Folders of the archives by name, each converted when first asked for."""
    folder, options = tmp_path_factory.mktemp('archives'), dict(ui_prmd=dict(where=['is_correct=1']))

    def get(name):
        if not (folder / name).exists():
            CONVERTERS.build(dict(type='flat')).convert(
                real_data_dir / f'{name}.npz', folder / name, **options.get(name, {}))
        return folder / name

    return get


@pytest.fixture(scope='module')
def features(converted, archives):
    """Records that an evaluator takes, by weights, data and split; those of one set are extracted once."""
    extracted = {}

    def get(weights, name, split):
        model = init_model(checkpoint=converted / f'{weights}.pth')
        card = model.card
        dataset = SkeletonDataset(archives(name), split=split, subset='both', layout=card.layout, remap=True,
                                  num_frames=card.num_frames, max_persons=card.max_persons)
        if (weights, name) not in extracted:
            extracted[weights, name] = {}
            for rows in np.array_split(np.arange(len(dataset)), max(1, len(dataset) // 128)):
                batch = dataset.__getitems__(rows.tolist())
                found = model.extract(batch['inputs'], batch['mask'])['backbone']
                extracted[weights, name].update(zip(batch['index'].tolist(), found, strict=True))
        return [dict(role=int(role), label=int(label), features={'backbone': extracted[weights, name][int(i)]})
                for i, role, label in zip(dataset.index, dataset.role, dataset.labels, strict=True)]

    return get


@pytest.mark.parametrize('weights, name, split', KNOWN)
def test_transfer_reaches_the_known_accuracies(features, weights, name, split):
    records = features(weights, name, split)
    found = []
    for metric in (KNNEvaluator(k=[20]), LogisticEvaluator()):
        metric.process(None, records)
        found += metric.evaluate(len(records)).values()
    assert found == pytest.approx(KNOWN[weights, name, split], abs=TOLERANCE)


@pytest.fixture(scope='module')
def shares(converted, archives):
    """Shares of the actionlet of the first person by class and body part."""
    dataset = SkeletonDataset(archives('utd_mhad'), split=None, layout='ntu25', remap=True, max_persons=1)
    return actionlet_part_shares(init_model(checkpoint=converted / 'actclr.pth'), dataset)


@pytest.mark.parametrize('name', LIMBS)
def test_actionlets_lie_on_the_limb_that_acts(shares, name):
    for part, expected in LIMBS[name].items():
        assert shares[name][part] == pytest.approx(expected, abs=.05)
    if 'right arm' in name or 'right hand' in name:
        assert shares[name]['left_arm'] < .06 + .05


@pytest.mark.parametrize('name', BOTH_ARMS)
def test_both_arms_have_a_third_or_more_each(shares, name):
    assert min(shares[name]['left_arm'], shares[name]['right_arm']) > .35 - .05


@pytest.mark.parametrize('name', BOTH_LEGS)
def test_both_legs_share_where_the_body_moves_on_them(shares, name):
    for leg in ('left_leg', 'right_leg'):
        assert .29 - .05 < shares[name][leg] < .36 + .05


@pytest.mark.parametrize('name', LEGS_BEFORE_ARM)
def test_legs_and_trunk_come_before_the_arm_where_the_whole_body_works(shares, name):
    found = shares[name]
    assert min(found['trunk'], found['left_leg'], found['right_leg']) > found['right_arm']


def test_inference_needs_neither_config_nor_training_data(converted, archives):
    """One recording, as a practitioner has it: the file alone says how to prepare it and what its classes are."""
    model = init_model(checkpoint=converted / 'actclr.pth')
    dataset = SkeletonDataset(archives('utd_mhad'), split=None, layout=model.card.layout, remap=True,
                              num_frames=model.card.num_frames, max_persons=model.card.max_persons)
    batch = dataset.__getitems__([0, 1])
    samples = model(batch['inputs'], batch['mask'], mode='predict')
    assert all(len(sample.pred_score) == 60 == len(model.card.classes) for sample in samples)
    assert all(torch.isfinite(sample.pred_score).all() for sample in samples)
