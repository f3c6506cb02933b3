"""Checkpoints and exported files of every registered encoder."""
import pytest
import torch
from torch import nn

from mmactclr.apis import SkeletonInferencer, export_onnx
from mmactclr.engine.checkpoints import ModelCard, read_checkpoint, take_stream, write_checkpoint
from mmactclr.structures import get_layout
from tests.test_models.any_backbone import BACKBONES, LAYOUT, stir, tiny

FRAMES = 12


def actclr(name):
    return dict(type='ActCLR', layout=LAYOUT, num_frames=FRAMES, backbone=tiny(name), memory=dict(size=8, dim=4),
                projector=dict(type='ProjectionMLP', out_channels=4), loss=dict(type='InfoNCELoss'), skip_absent=True,
                actionlet_head=dict(type='ActionletHead'), mining_loss=dict(type='SimilarityMiningLoss'))


def write(path, model):
    card = ModelCard(model, get_layout(LAYOUT).to_dict(), FRAMES, source='tiny')
    torch.manual_seed(3)
    built = card.build('tiny')
    stir(built)
    for module in built.modules():
        if hasattr(module, 'anchor_ready'):
            module.anchor.normal_(0, .5)
            module.anchor_ready.fill_(True)
        if isinstance(getattr(module, 'data_bn', None), nn.BatchNorm1d):
            # so that inputs differ, small as motions are
            module.data_bn.running_var.fill_(.01)
    write_checkpoint(path, built.state_dict(), card)
    return built.eval()


def recordings(n=2):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(n, 2, 1, 20, 3, generator=generator) + 0.1 * torch.randn(
        n, 2, FRAMES, 20, 3, generator=generator).cumsum(2)
    mask = torch.tensor([[True, True], [True, False]])[:n]
    return x * mask[:, :, None, None, None], mask


@pytest.mark.parametrize('name', BACKBONES)
def test_a_checkpoint_carries_the_encoder(name, tmp_path):
    model = write(tmp_path / 'model.pth', actclr(name))
    content = torch.load(tmp_path / 'model.pth', weights_only=True)
    assert {f'backbone.{key}' for key in model.backbone.state_dict()} <= set(content['state_dict'])
    again = SkeletonInferencer(tmp_path / 'model.pth').model
    assert type(again.backbone).__name__ == name
    expected, found = (each.extract(*recordings()) for each in (model, again))
    assert all(torch.equal(found[point], expected[point]) for point in expected)
    torch.testing.assert_close(again.actionlet(*recordings()), model.actionlet(*recordings()))


@pytest.mark.parametrize('name', BACKBONES)
def test_a_stream_is_taken_out_of_several(name, tmp_path):
    model = write(tmp_path / 'several.pth', dict(type='MultiStream', branch=actclr(name), streams=['joint', 'bone']))
    take_stream(tmp_path / 'several.pth', 'bone', tmp_path / 'bone.pth')
    card = ModelCard.of(read_checkpoint(tmp_path / 'bone.pth'), 'bone.pth')
    assert card.model['stream'] == 'bone'
    single = SkeletonInferencer(tmp_path / 'bone.pth').model
    torch.testing.assert_close(single.extract(*recordings())['backbone'],
                               model.extract(*recordings())['bone.backbone'])


@pytest.mark.parametrize('name', BACKBONES)
def test_an_exported_file_gives_what_the_model_gives(name, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnx')
    model = write(tmp_path / 'model.pth', actclr(name))
    apart = export_onnx(tmp_path / 'model.pth', tmp_path / 'model.onnx', 'actionlet')
    assert {'embedding', 'projection', 'actionlet'} == set(next(iter(apart.values())))
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'), providers=['CPUExecutionProvider'])
    x, mask = recordings()
    # lengths that are no multiple of the stride, and a batch of one
    for frames, n in ((FRAMES, 2), (7, 2), (1, 1)):
        inputs = x[:n, :, :frames].contiguous(), mask[:n].contiguous()
        expected = model.extract(*inputs)
        embedding, projection, actionlet = session.run(None, dict(zip(('keypoint', 'mask'), (
            each.numpy() for each in inputs), strict=True)))
        torch.testing.assert_close(torch.from_numpy(embedding), expected['backbone'], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(torch.from_numpy(projection), expected['projection'], atol=1e-4, rtol=1e-4)
        expected = model.actionlet(*inputs)
        assert expected.max() > 0
        torch.testing.assert_close(torch.from_numpy(actionlet), expected, atol=1e-4 * float(expected.max()), rtol=1e-3)
