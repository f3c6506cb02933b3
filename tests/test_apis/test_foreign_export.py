"""A backbone of the user's from pretraining with ActCLR to an ONNX file that gives what PyTorch gives."""
import importlib.util
from pathlib import Path

import pytest
import torch

from mmactclr.apis import SkeletonInferencer, export_onnx, run_training
from mmactclr.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
# attention among joints after a convolution with a stride of 4 in time; it states neither width nor coordinates
BACKBONE = ROOT / 'docs' / 'plugin_template' / 'src' / 'myplugin' / 'backbone.py'


@pytest.fixture
def registered():
    """The backbone, registered from a file that does not belong to the package, for one test."""
    before = dict(MODELS.module_dict)
    spec = importlib.util.spec_from_file_location('nets_of_a_user', BACKBONE)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    for name in set(MODELS.module_dict) - set(before):
        del MODELS.module_dict[name]


def pretrained(folder: Path, archive: Path) -> Path:
    """Checkpoint of ActCLR with it, an epoch without and one with mining, by which the anchor is there."""
    config = folder / 'mine.py'
    config.write_text(f'''
_base_ = 'mmactclr::actclr/actclr_joint_ntu60_xsub.py'
data_root, layout, num_frames = {str(archive)!r}, 'kinect20_utdmhad', 16
train_dataloader = dict(batch_size=6)
train_cfg = dict(max_epochs=2)
default_hooks = dict(checkpoint=dict(interval=1))
model = dict(stage_epochs=(1, 1), memory=dict(size=16, dim=4),
             projector=dict(in_channels=8, hidden_channels=8, out_channels=4),
             backbone=dict(_delete_=True, type='JointAttention', channels=8, heads=2))
val_cfg = val_dataloader = val_evaluator = None
''')
    run_training(config, folder / 'run')
    return folder / 'run' / 'epoch_2.pth'


def test_a_foreign_backbone_goes_from_pretraining_to_a_file_that_gives_what_the_model_gives(
        registered, tiny_archive, tmp_path):
    pytest.importorskip('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    checkpoint, path = pretrained(tmp_path, tiny_archive), tmp_path / 'mine.onnx'
    export_onnx(checkpoint, path, 'actionlet')
    # attention in one operation, which ONNX does not have, is switched off while a file is written, and only then
    assert torch.backends.mha.get_fastpath_enabled()

    model = SkeletonInferencer(checkpoint).model
    assert type(model.backbone).__module__ == 'nets_of_a_user'
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    assert [each.name for each in session.get_outputs()] == ['embedding', 'projection', 'actionlet']
    assert session.get_inputs()[0].shape[1:] == [2, 'T', 20, 3]
    generator = torch.Generator().manual_seed(5)
    # lengths other than that of training, no multiple of the stride
    for num, frames in ((1, 16), (3, 21), (2, 50)):
        keypoint = torch.randn(num, 2, 1, 20, 3, generator=generator) + 0.1 * torch.randn(
            num, 2, frames, 20, 3, generator=generator).cumsum(2)
        mask = torch.ones(num, 2, dtype=torch.bool)
        mask[1:, 1:] = False
        keypoint = keypoint * mask[:, :, None, None, None]
        found = session.run(None, dict(keypoint=keypoint.numpy(), mask=mask.numpy()))
        features = model.extract(keypoint, mask)
        for value, expected in zip(found, (features['backbone'], features['projection'],
                                           model.actionlet(keypoint, mask)), strict=True):
            largest = float(expected.abs().max())
            assert largest > 0 and expected.std() > 0
            torch.testing.assert_close(torch.from_numpy(value), expected, atol=1e-4 * largest, rtol=0)
