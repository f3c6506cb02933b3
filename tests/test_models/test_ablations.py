"""Parts of ActCLR left out or exchanged: each switch against what it should amount to."""
import logging
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from mmactclr.engine.hooks import StaticAnchorHook
from mmactclr.engine.hooks.static_anchor_hook import group_motions
from mmactclr.errors import ConfigError
from mmactclr.models.heads import anchor_gradient, nearest_anchor
from mmactclr.registry import MODELS
from mmactclr.utils import load_config

INFO_NCE = dict(_delete_=True, type='InfoNCELoss', temperature=0.2)


@pytest.fixture
def make(tiny_options):
    """Builds a tiny paper model with a memory, in the first epoch of its stage two."""
    def make(**more):
        options = tiny_options('nowhere', 'actclr_joint_ntu60_xview',
                               **{f'model.{name}': value for name, value in more.items()})
        torch.manual_seed(0)
        model = MODELS.build(load_config('actclr_joint_ntu60_xview', options).model)
        model.init_weights()
        model.memory.enqueue(F.normalize(torch.randn(11, 4, generator=torch.Generator().manual_seed(4)), dim=1))
        with torch.no_grad():
            model.anchor.normal_(0, .1, generator=torch.Generator().manual_seed(9))
        model.anchor_ready.fill_(True)
        model.set_progress(0, 100, 5, 0)
        assert model.stage == 2
        return model

    return make


def views_of(model, n=6):
    generator = torch.Generator().manual_seed(2)
    view = {name: torch.randn(n, 2, 16, 20, 3, generator=generator) for name in ('act', 'key')}
    # nothing outside the actionlet differs from what is inside
    return {'joint': {**view, 'non': view['act']}}, dict.fromkeys(('act', 'non', 'key'), torch.ones(n, 2).bool())


def test_without_its_three_parts_stage_two_is_momentum_contrast(make):
    """No other transformation outside, plain pooling, InfoNCE: Eq. 10 between the two views."""
    model = make(**{'key_pooling': 'average', 'mining_loss': INFO_NCE, 'loss.temperature': 0.2,
                    'backbone.dropout': 0.0})
    inputs, masks = views_of(model)
    (name, loss), = model.loss_terms(inputs, masks)
    joint = inputs['joint']
    z_q = model.project_query({'query': joint['act']}, {'query': masks['act']})
    z_k = model.project_key({'key': joint['key']}, {'key': masks['key']})
    torch.testing.assert_close(loss, model.contrastive_loss(z_q, z_k, model.memory.valid()))
    assert name == 'loss_mining'
    torch.testing.assert_close(model.log_scalars['kl'], loss.detach())


def test_every_part_changes_the_loss(make):
    def loss_of(**more):
        model = make(**{'backbone.dropout': 0.0, **more})
        inputs, masks = views_of(model)
        inputs['joint']['non'] = inputs['joint']['act'].flip(0)
        return dict(model.loss_terms(inputs, masks))['loss_mining'].item()

    losses = [loss_of(), loss_of(key_pooling='average'), loss_of(anchor='feature'),
              loss_of(mining_loss=INFO_NCE), loss_of(**{'actionlet_head.selection': 'max'})]
    assert len({round(loss, 6) for loss in losses}) == len(losses)


def test_the_anchor_of_features_is_the_projected_mean_of_pooled_keys(make):
    model = make(anchor='feature')
    keys = views_of(model)[0]['joint']['key']
    keys[0, 1] = 0
    model.backbone_k.eval(), model.projector_k.eval()
    each = []
    for key in keys:
        present = key.flatten(1).any(1)
        h, rows = model.encode(model.backbone_k, key[None], present[None])
        each.append(rows.mean(h.mean((2, 3))))
    expected = model.projector_k(torch.cat(each).mean(0, keepdim=True))
    torch.testing.assert_close(model.anchor_projection(keys), expected)
    with pytest.raises(ConfigError, match='mean feature of a batch'):
        model.anchor_projection()


class Motions(Dataset):
    """Prepared sequences (M, T, V, C) of a list."""

    def __init__(self, joints):
        self.joints = joints

    def __len__(self):
        return len(self.joints)

    def __getitem__(self, i):
        return dict(inputs=self.joints[i], mask=torch.ones(len(self.joints[i])).bool(), index=torch.tensor(i))


@pytest.fixture
def groups():
    """Two motions, and ten sequences around each."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(2, 2, 16, 20, 3, generator=generator)
    joints = centres[[0, 1] * 10] + 0.05 * torch.randn(20, 2, 16, 20, 3, generator=generator)
    return joints


def test_groups_are_those_that_the_data_have(groups):
    found = group_motions(Motions(groups), 2)
    expected = torch.stack([groups[::2].mean(0), groups[1::2].mean(0)])
    order = torch.cdist(found.flatten(1), expected.flatten(1)).argmin(1)
    assert sorted(order.tolist()) == [0, 1]
    torch.testing.assert_close(found, expected[order])
    with pytest.raises(ConfigError, match='21 anchors of 20'):
        group_motions(Motions(groups), 21)


def test_a_sequence_is_compared_with_the_nearest_of_several_anchors(make, groups):
    model = make(num_anchors=2, **{'backbone.dropout': 0.0})
    runner = SimpleNamespace(model=model, _resume=False, logger=logging.getLogger('anchor'),
                             train_dataloader=SimpleNamespace(dataset=Motions(groups)))
    StaticAnchorHook().before_train(runner)
    torch.testing.assert_close(model.anchor, groups.mean(0))
    mask = torch.ones(20, 2).bool()
    found = model.actionlet(groups, mask)
    model.eval()
    z = F.normalize(model.projector(model.pool(model.backbone, groups, mask)), dim=1)
    single = make(**{'backbone.dropout': 0.0})
    single.load_state_dict({name: value for name, value in model.state_dict().items() if name != 'group_anchors'})
    apart = []
    for anchor in model.group_anchors:
        single.set_anchor(anchor)
        apart.append((single.actionlet(groups, mask), z @ F.normalize(single.anchor_projection(), dim=1)[0]))
    nearest = torch.stack([similarity for _, similarity in apart]).argmax(0)
    assert len(nearest.unique()) == 2
    expected = torch.stack([apart[k][0][i] for i, k in enumerate(nearest.tolist())])
    torch.testing.assert_close(found, expected)


def test_one_anchor_is_nobodys_choice_and_several_are():
    z, anchors = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[[2, 0]]
    assert nearest_anchor(z, anchors[:1]).shape == (1, 3)
    torch.testing.assert_close(nearest_anchor(z, anchors)[[0, 2]], z[[0, 2]])
    # a projection that is its anchor is as near as can be: there the gradient is zero
    gradient = anchor_gradient(z, torch.nn.Identity(), anchors)
    torch.testing.assert_close(gradient[[0, 2]], torch.zeros(2, 3, dtype=torch.float64))
    assert gradient[1].abs().max() > 0.9


@pytest.mark.parametrize('options, message', [
    (dict(anchor='class'), 'anchor is .class., expected one of dataset, batch, ema, feature'),
    (dict(num_anchors=0), 'num_anchors is 0'),
    (dict(num_anchors=3, anchor='batch'), "num_anchors is 3 and anchor 'batch'"),
    (dict(key_pooling='max'), 'key_pooling is .max.'),
])
def test_what_there_is_not_is_refused(make, options, message):
    with pytest.raises(ConfigError, match=message):
        make(**options)


def test_anchors_of_groups_are_asked_for(make):
    model = make(num_anchors=2)
    with pytest.raises(ConfigError, match='the anchors of groups have the shape None'):
        model.set_anchor(torch.zeros(2, 16, 20, 3))
