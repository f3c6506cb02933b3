"""The recogniser: encoder, pooling and classifier, against the same numbers taken step by step."""
import numpy as np
import pytest
import torch

from mmactclr.errors import ConfigError
from mmactclr.models import ClassificationHead, MoCo, Recognizer
from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from mmactclr.transforms import STREAMS, to_bone, to_motion

LAYOUT = 'kinect20_utdmhad'
BACKBONE = dict(type='STGCN', layout=LAYOUT, channels=[4, 4, 8], strided_units=[2])


def make(**more) -> Recognizer:
    torch.manual_seed(3)
    return MODELS.build({
        'type': 'Recognizer', 'layout': LAYOUT, 'backbone': BACKBONE,
        'head': dict(type='ClassificationHead', in_channels=8, num_classes=5), **more}).eval()


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Joints (4, 2, 12, 20, 3) and mask; the second person of two sequences is absent."""
    torch.manual_seed(1)
    mask = torch.tensor([[True, True], [True, False], [True, True], [True, False]])
    return torch.randn(4, 2, 12, 20, 3) * mask[:, :, None, None, None], mask


@pytest.mark.parametrize('stream', STREAMS)
@pytest.mark.parametrize('skip_absent', [False, True])
def test_scores_are_the_classifier_on_the_mean_over_time_joints_and_persons(batch, stream, skip_absent):
    joints, mask = batch
    model = make(stream=stream, skip_absent=skip_absent).double()
    x = joints.double()
    x = {'joint': x, 'motion': to_motion(x), 'bone': to_bone(x, get_layout(LAYOUT))}[stream]
    features = []
    for i in range(len(x)):
        persons = [m for m in range(2) if mask[i, m] or not skip_absent]
        maps = [model.backbone(x[i, m].permute(2, 0, 1)[None]).detach().float() for m in persons]
        features.append(np.mean([one.numpy().mean((0, 2, 3)) for one in maps], 0))
    model.float()
    found = model.extract(joints, mask)
    expected = np.stack(features)
    np.testing.assert_allclose(found['backbone'], expected, rtol=1e-4, atol=1e-5)
    weight, bias = (p.detach().numpy().astype(np.float64) for p in model.head.fc.parameters())
    np.testing.assert_allclose(found['score'], expected @ weight.T + bias, rtol=1e-4, atol=1e-5)
    assert not found['score'].requires_grad


def test_the_feature_is_the_one_of_momentum_contrast(batch):
    model = make()
    moco = MoCo(LAYOUT, BACKBONE, dict(type='ProjectionMLP', in_channels=8, hidden_channels=8, out_channels=4),
                dict(size=4, dim=4), dict(type='InfoNCELoss', temperature=0.1)).eval()
    moco.backbone.load_state_dict(model.backbone.state_dict())
    assert torch.equal(model.extract(*batch)['backbone'], moco.extract(*batch)['backbone'])


def test_predictions_carry_score_and_label(batch):
    model = make()
    data = dict(inputs=batch[0], mask=batch[1], index=torch.arange(4), label=torch.tensor([0, 1, 2, 3]),
                role=torch.ones(4, dtype=torch.long))
    samples = model.test_step(data)
    scores = model.extract(*batch)['score']
    assert [sample.pred_label.item() for sample in samples] == scores.argmax(1).tolist()
    for sample, score in zip(samples, scores, strict=True):
        torch.testing.assert_close(sample.pred_score, score)
        assert set(sample.features) == {'backbone', 'score'}
    assert [sample.label for sample in samples] == [0, 1, 2, 3]


def test_everyone_is_present_where_no_mask_is_given(batch):
    everyone = torch.ones(4, 2, dtype=torch.bool)
    model = make(skip_absent=True)
    torch.testing.assert_close(model(batch[0]), model.extract(batch[0], everyone))


@pytest.mark.parametrize('stream', STREAMS)
@pytest.mark.parametrize('joints', [19, 25])
def test_joints_of_another_layout_are_refused(stream, joints):
    with pytest.raises(ConfigError, match=rf"input has {joints} joints.*'{LAYOUT}' with 20"):
        make(stream=stream).extract(torch.zeros(1, 2, 12, joints, 3), torch.ones(1, 2, dtype=torch.bool))


def test_two_coordinates_are_refused_by_the_backbone():
    with pytest.raises(ConfigError, match='20 joints of 2 coordinates'):
        make().extract(torch.zeros(1, 2, 12, 20, 2), torch.ones(1, 2, dtype=torch.bool))


@pytest.mark.parametrize('change, says', [
    (dict(stream='joints'), "stream is 'joints', expected one of joint, motion, bone"),
    (dict(head=dict(type='ClassificationHead', in_channels=16, num_classes=5)),
     'head.in_channels is 16, the backbone gives features of 8'),
    (dict(layout='kinect21'), "'kinect21' is not known")])
def test_parts_that_do_not_fit_are_refused(change, says):
    with pytest.raises(ConfigError, match=says):
        make(**change)


@pytest.mark.parametrize('sizes', [(0, 5), (8, 0), (8, -1)])
def test_a_head_without_width_or_classes_is_refused(sizes):
    with pytest.raises(ConfigError, match='expected 1 or more'):
        ClassificationHead(*sizes)
