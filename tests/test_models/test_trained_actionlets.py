"""A few epochs of pretraining are enough for the actionlet to find the limb that moves."""
import pytest
import torch

from mmactclr.apis import init_model, run_training
from mmactclr.datasets.synthetic import single_limb_sequences
from mmactclr.evaluation import limb_accuracy, shuffle_joints
from mmactclr.registry import CONVERTERS
from mmactclr.structures import get_layout
from mmactclr.transforms import prepare
from mmactclr.utils import load_config

LAYOUT = get_layout('ntu25')


@pytest.fixture(scope='module')
def single_limb():
    """Prepared joints, mask and the moving limb; half of the sequences are mirror images."""
    made = single_limb_sequences(60)
    assert made.classes == LAYOUT.part_names[1:]
    return *prepare(made.sequences, LAYOUT, 32, 2), torch.from_numpy(made.label)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The demo's recipe for ten epochs of small batches on a smaller set."""
    folder = tmp_path_factory.mktemp('limbs')
    CONVERTERS.build(dict(type='synthetic')).convert('-', folder / 'data', num_subjects=6, repeats=3)
    config = load_config('actclr_motion_demo', {
        'data_root': str(folder / 'data'), 'model.stage_epochs': (8, 2), 'train_cfg.max_epochs': 10,
        'param_scheduler.T_max': 10, 'default_hooks.checkpoint.interval': 10, 'train_cfg.val_interval': 10,
        'train_dataloader.batch_size': 16, 'model.memory.size': 64})
    config.experiment_name = 'trained_actionlets'
    run_training(config, work_dir=folder / 'run')
    return init_model(config, folder / 'run' / 'epoch_10.pth')


def test_trained_encoder_finds_the_moving_limb_far_more_often_than_an_untrained_one(trained, single_limb):
    joints, mask, limb = single_limb
    found = limb_accuracy(trained.actionlet(joints, mask)[:, 0], limb, LAYOUT)
    untrained = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = init_model('actclr_motion_demo')
        model.set_anchor(joints.mean(0))
        untrained.append(limb_accuracy(model.actionlet(joints, mask)[:, 0], limb, LAYOUT))
    assert found >= 60 and found >= max(untrained) + 15, (found, untrained)


def test_a_shuffled_mask_fails_the_same_test(trained, single_limb):
    joints, mask, limb = single_limb
    actionlet = trained.actionlet(joints, mask)[:, 0]
    assert limb_accuracy(shuffle_joints(actionlet, 0), limb, LAYOUT) < 60
