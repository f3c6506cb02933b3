"""Bad input to tools/train.py and tools/test.py: exit code 1, one clear line, no traceback."""

import importlib.util
import json
import os
import pickle
import re
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mmactclr.registry import MODELS
from mmactclr.structures import get_layout
from mmactclr.utils.cli import report_errors

CONFIG = 'actclr_joint_ntu60_xsub'
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)


@pytest.fixture(scope='module')
def tool(repo_root):
    """Runs the main of tools/NAME.py as the command line does; returns its exit code."""

    def run(name, *arguments):
        spec = importlib.util.spec_from_file_location(
            f'tool_{name}', repo_root / 'tools' / f'{name}.py'
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
            try:
                with report_errors():
                    module.main()
            except SystemExit as stop:
                return stop.code
        return 0

    return run


@pytest.fixture
def config_file(tmp_path, tiny_archive, tiny_config):
    """Writes a tiny config; keyword arguments change its fields."""

    def write(data_root=tiny_archive, config=CONFIG, **more):
        cfg = tiny_config(data_root, config, **{**NO_VALIDATION, **more})
        cfg.dump(tmp_path / 'tiny.py')
        return tmp_path / 'tiny.py'

    return write


@pytest.fixture
def refused(tool, capsys):
    """Asserts that a tool stops with exit code 1 and one line on stderr that ``says`` it all."""

    def check(name, *arguments, says):
        assert tool(name, *arguments) == 1
        error = capsys.readouterr().err.strip()
        assert 'Traceback' not in error
        message = error.splitlines()[-1]
        assert message.startswith('error: '), error
        assert [line for line in error.splitlines() if line.startswith('error: ')] == [message]
        for part in says:
            assert re.search(part, message), f'{part!r} is not in {message!r}'

    return check


@pytest.fixture
def archive(tmp_path, write_tiny_archive):
    """A tiny archive that a test may break."""
    write_tiny_archive(tmp_path / 'archive')
    return tmp_path / 'archive'


def rewrite_index(archive: Path, **columns) -> None:
    """Replace columns of an archive's index and keep its bookkeeping consistent."""
    with np.load(archive / 'index.npz', allow_pickle=False) as stored:
        index = {**{name: stored[name] for name in stored.files}, **columns}
    np.savez_compressed(archive / 'index.npz', **index)
    meta = json.loads((archive / 'meta.json').read_text())
    meta['files']['index.npz']['bytes'] = (archive / 'index.npz').stat().st_size
    (archive / 'meta.json').write_text(json.dumps(meta))


def missing(archive: Path) -> None:
    shutil.rmtree(archive)


def truncated(archive: Path) -> None:
    file = archive / 'keypoints.npy'
    file.write_bytes(file.read_bytes()[:-1000])


def no_index(archive: Path) -> None:
    (archive / 'index.npz').unlink()


def garbled_meta(archive: Path) -> None:
    (archive / 'meta.json').write_text('{"format": ')


def nan_coordinates(archive: Path) -> None:
    keypoints = np.lib.format.open_memmap(archive / 'keypoints.npy', mode='r+')
    keypoints[25, 3, 1] = np.nan
    keypoints.flush()


def label_out_of_range(archive: Path) -> None:
    label = np.arange(27) % 3
    label[4] = 3
    rewrite_index(archive, label=label)


def empty_part(archive: Path) -> None:
    rewrite_index(archive, split_xsub=np.array(['train'] * 27))


@pytest.mark.parametrize(
    'damage, says',
    [
        (missing, ['no skeleton archive at .*archive', r'convert\.py']),
        (
            truncated,
            [r'keypoints\.npy has \d+ bytes, meta\.json says \d+', 'convert the data again'],
        ),
        (no_index, [r'index\.npz is missing', 'convert the data again']),
        (garbled_meta, [r'meta\.json is not valid JSON', 'convert the data again']),
        (nan_coordinates, ["'take1'", 'not finite', r'verify\.py']),
        (label_out_of_range, ['labels go from 0 to 3, expected 0 to 2', r'verify\.py']),
    ],
    ids=lambda v: getattr(v, '__name__', ''),
)
def test_a_damaged_archive(refused, config_file, archive, tmp_path, damage, says):
    damage(archive)
    refused('train', config_file(archive), '--work-dir', tmp_path / 'out', says=says)


def test_an_empty_test_part(refused, config_file, archive, checkpoint, tmp_path):
    empty_part(archive)
    refused(
        'test',
        config_file(archive),
        checkpoint,
        '--work-dir',
        tmp_path / 'out',
        says=["the test part of split 'xsub' is empty"],
    )


@pytest.mark.parametrize(
    'options, says',
    [
        (['split=xcross'], ["'xcross'", 'xsub']),
        (
            ['layout=ntu25'],
            [
                r"'ntu25' \(25 joints\)",
                r"'kinect20_utdmhad' \(20 joints\)",
                'change layout or data_root, or set remap=True',
            ],
        ),
        (['layout=kinect21'], ["'kinect21' is not known", 'kinect20_utdmhad', 'ntu25']),
        (
            ['model.backbone.type=STGCM'],
            ["'STGCM' is not registered", 'STGCN', 'custom_imports', 'PYTHONPATH'],
        ),
        (['model.backbone.chanels=3'], ['STGCN', "'chanels'", 'docstring']),
        (['model.memory.dim=8'], ['memory.dim is 8', 'keys of 4', 'same number']),
        (['model.backbone.strided_units=[7]'], [r'strided_units \[7\]', '1 to 3']),
        (
            ['train_dataloader.batch_size=19'],
            ['18 training sequences', 'batch_size=19', 'drop_last', 'at most 18'],
        ),
        (['train_dataloader.dataset.subset=val'], ["subset is 'val'", "'train', 'test' or 'both'"]),
        (
            ['optim_wrapper.optimizer.type=SDG'],
            ["'SDG' is not registered", 'SGD', 'custom_imports'],
        ),
        (['custom_hooks.0.type=MemoryBank'], ["'MemoryBank' is not registered", 'MemoryBankHook']),
        (
            ['train_cfg.max_epochs=5'],
            [r'model\.stage_epochs is \(1, 1\), 2 epochs', 'runs 5', 'train_cfg.max_epochs'],
        ),
        (['max_persons=0'], ['max_persons is 0', '1 or more']),
        (['train_cfg.max_epochs=0'], ['train_cfg.max_epochs is 0', 'expected 1 or more']),
        (['model.stage_epochs.first=1'], ['cfg-options', 'stage_epochs']),
        (['data_rot=data/mine'], ['cfg-options', "'data_rot'", 'data_root']),
        (['train_dataloader.batch_siz=2'], ['batch_siz', 'did you mean batch_size']),
        (['load_from=old.pth'], [r"'old\.pth' does not exist"]),
    ],
    ids=lambda v: v[0] if '=' in v[0] else '',
)
def test_a_config_that_does_not_fit(refused, config_file, tmp_path, options, says):
    refused(
        'train', config_file(), '--work-dir', tmp_path / 'out', '--cfg-options', *options, says=says
    )


@pytest.mark.parametrize(
    'name, text, says',
    [
        ('nowhere.py', None, [r"'.*nowhere\.py' does not exist", 'actclr_joint_utdmhad_xsub']),
        ('broken.py', 'model = dict(', [r'broken\.py', 'could not be read', 'SyntaxError']),
        ('wrong.txt', 'hello', [r'wrong\.txt', 'could not be read']),
        ('base.py', "_base_ = './none.py'", [r'base\.py', r'none\.py']),
        ('headless.py', 'data_root = 1', [r'headless\.py', "'model' is missing"]),
    ],
)
def test_a_config_file_that_is_none(refused, tmp_path, name, text, says):
    if text is not None:
        (tmp_path / name).write_text(text)
    refused('train', tmp_path / name, '--work-dir', tmp_path / 'out', says=says)


@pytest.fixture(scope='module')
def checkpoint(tool, tiny_archive, tiny_config, tmp_path_factory):
    """A checkpoint of one short run."""
    folder = tmp_path_factory.mktemp('trained')
    tiny_config(tiny_archive, **NO_VALIDATION).dump(folder / 'tiny.py')
    assert tool('train', folder / 'tiny.py', '--work-dir', folder) == 0
    return folder / 'epoch_2.pth'


@pytest.fixture(params=['test', 'train --resume', 'train load_from'])
def with_checkpoint(request, config_file, refused, tmp_path):
    """Gives a checkpoint to a tool in one of the three ways; it must be refused."""

    def run(path, says, **more):
        config, out = config_file(**more), ['--work-dir', tmp_path / 'out']
        arguments = {
            'test': [config, path, *out],
            'train --resume': [config, *out, '--resume', path],
            'train load_from': [config, *out, '--cfg-options', f'load_from={path}'],
        }
        refused(request.param.split()[0], *arguments[request.param], says=says)

    return run


def test_a_checkpoint_that_does_not_exist(with_checkpoint, checkpoint):
    with_checkpoint(
        checkpoint.with_name('epoch_3.pth'),
        [r"epoch_3\.pth' does not exist", r'epoch_1\.pth, epoch_2\.pth'],
    )


class Payload:
    """Executes something when it is unpickled, as a file from outside might."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.parametrize('kind', ['garbage', 'truncated', 'empty', 'pickle', 'numbers'])
def test_a_file_that_is_no_checkpoint(with_checkpoint, checkpoint, tmp_path, kind):
    path, executed = tmp_path / 'file.pth', tmp_path / 'executed'
    content = checkpoint.read_bytes()
    if kind == 'pickle':
        path.write_bytes(pickle.dumps({'state_dict': Payload(executed)}))
    elif kind == 'numbers':
        torch.save({'state_dict': {'lr': 1.0}}, path)
    else:
        path.write_bytes(
            {
                'garbage': b'these are no weights' * 50,
                'truncated': content[: len(content) // 2],
                'empty': b'',
            }[kind]
        )
    with_checkpoint(path, [r"file\.pth'", 'cannot be read|holds no weights', r'tools/train\.py'])
    assert not executed.exists()


@pytest.mark.parametrize(
    'more, says',
    [
        (
            {'model.backbone.channels': [4, 4, 12], 'model.projector.in_channels': 12},
            ['another shape', r'backbone\.units\.2'],
        ),
        ({'model.backbone.channels': [4, 4, 4, 8]}, ['missing', r'units\.3']),
        (
            {'model.backbone.channels': [4, 4], 'model.projector.in_channels': 4},
            [r'no place in the model.*units\.2'],
        ),
    ],
)
def test_a_checkpoint_of_another_architecture(with_checkpoint, checkpoint, more, says):
    with_checkpoint(
        checkpoint, [r"epoch_2\.pth' does not fit", 'the config it was trained with', *says], **more
    )


def folder(path: Path, _: dict) -> None:
    path.mkdir()


def other_zip(path: Path, _: dict) -> None:
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('readme.txt', 'no weights')


def text(path: Path, _: dict) -> None:
    path.write_text('state_dict: none\n')


def system_call(path: Path, content: dict) -> None:
    torch.save({**content, 'meta': SystemCall(path.with_name('executed'))}, path)


class SystemCall:
    """Runs a command when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.system, (f'touch {self.target}',))


@pytest.mark.parametrize(
    'write, says',
    [
        (folder, 'is a folder; name a file in it'),
        (other_zip, 'cannot be read'),
        (text, 'cannot be read'),
        (system_call, 'cannot be read .*never executed'),
    ],
)
def test_a_file_of_another_kind(with_checkpoint, checkpoint, tmp_path, write, says):
    write(tmp_path / 'file.pth', torch.load(checkpoint, weights_only=True))
    with_checkpoint(tmp_path / 'file.pth', [r"file\.pth'", says])
    assert not (tmp_path / 'executed').exists()


def set_weight(name, change):
    def edit(content: dict) -> None:
        content['state_dict'][name] = change(content['state_dict'][name])

    return edit


def set_card(**fields):
    def edit(content: dict) -> None:
        content['meta']['mmactclr'].update(fields)

    return edit


WEIGHT = 'backbone.units.1.gcn.weight'
CORRUPTION = {
    'nan': (set_weight(WEIGHT, lambda w: w * float('nan')), [WEIGHT, 'not finite']),
    'infinite': (set_weight('memory.keys', lambda w: w + float('inf')), [r'memory\.keys', 'not finite']),
    'integers': (set_weight(WEIGHT, lambda w: w.long()), [WEIGHT, 'torch.int64, expected torch.float32']),
    'no tensor': (set_weight(WEIGHT, lambda w: w.tolist()), [WEIGHT, r'no dense tensor \(found list\)']),
    'graph': (set_weight('backbone.adjacency', lambda w: w.flip(0)), ['graph is another one', 'backbone.adjacency']),
    'anchor': (set_weight('anchor', lambda w: w[:1]), [r'anchor is \(1, 16, 20, 3\) instead of', 'max_persons']),
    'layout': (
        set_card(layout=get_layout('kinect20_nwucla').to_dict()),
        [r"layout 'kinect20_nwucla' \(20 joints\)", r"'kinect20_utdmhad' \(20 joints\)"],
    ),
    'card version': (set_card(version=9), ['version of its model card is 9']),
    'card frames': (set_card(num_frames=-1), ['card is damaged', 'num_frames is -1']),
    'card many frames': (set_card(num_frames=10**9), ['card is damaged', 'num_frames is 1000000000']),
    'card layout': (set_card(layout=dict(name='x', joints=3)), ['card is damaged', 'layout']),
    'card kind': (set_card(model='os.system'), ['card is damaged', 'model']),
}


@pytest.mark.parametrize('kind', CORRUPTION)
def test_a_checkpoint_that_was_changed(with_checkpoint, checkpoint, tmp_path, kind):
    edit, says = CORRUPTION[kind]
    content = torch.load(checkpoint, weights_only=True)
    edit(content)
    torch.save(content, tmp_path / 'file.pth')
    with_checkpoint(tmp_path / 'file.pth', [r"file\.pth'", *says])


@pytest.mark.parametrize(
    'config, says',
    [
        ('actclr_3s_ntu60_xsub', [r'holds one stream \(joint\)', r'streams\.py join']),
        ('actclr_motion_ntu60_xsub', ['trained on the joint stream, the model takes motion']),
    ],
)
def test_a_checkpoint_of_other_streams(with_checkpoint, checkpoint, config, says):
    with_checkpoint(checkpoint, ["epoch_2.pth' does not fit", *says], config=config)


def test_a_checkpoint_of_three_streams(with_checkpoint, tiny_archive, tiny_config, tmp_path):
    model = MODELS.build(tiny_config(tiny_archive, 'actclr_3s_ntu60_xsub').model)
    content = dict(state_dict=model.state_dict(), meta=dict(epoch=1, iter=3), message_hub={})
    torch.save(content, tmp_path / 'three.pth')
    with_checkpoint(tmp_path / 'three.pth', ['the streams joint, motion, bone', r'streams\.py take'])


@pytest.mark.parametrize(
    'model, says',
    [
        (dict(type='os.system', command='touch executed'), ["'os.system'", 'not registered']),
        (dict(type='ActCLR', actionlet_head=dict(type='torch.nn.Linear')), ["'torch.nn.Linear'"]),
        (dict(type='ActCLR'), ['cannot be built', 'actionlet_head']),
        (dict(layout='ntu25'), ['cannot be built']),
    ],
)
def test_a_card_whose_model_cannot_be_built(
    refused, config_file, checkpoint, tmp_path, monkeypatch, model, says
):
    content = torch.load(checkpoint, weights_only=True)
    content['meta']['mmactclr']['model'] = model
    torch.save(content, tmp_path / 'file.pth')
    config, out = config_file(), tmp_path / 'out'
    config.write_text(f'{config.read_text()}\nmodel = "checkpoint"\n')
    monkeypatch.chdir(tmp_path)
    refused('test', config, tmp_path / 'file.pth', '--work-dir', out, says=[r"file\.pth'", *says])
    assert not (tmp_path / 'executed').exists()


def test_evaluation_without_labels(refused, tiny_config, archive, tmp_path):
    rewrite_index(archive, label=np.full(27, -1))
    meta = json.loads((archive / 'meta.json').read_text())
    (archive / 'meta.json').write_text(json.dumps({**meta, 'classes': []}))
    tiny_config(archive).dump(tmp_path / 'validated.py')
    refused(
        'train',
        tmp_path / 'validated.py',
        '--work-dir',
        tmp_path / 'out',
        says=['no sequence has a `label`', 'val_dataloader=None val_cfg=None val_evaluator=None'],
    )
    assert not list((tmp_path / 'out').glob('*.pth'))


def test_fp16_evaluation_is_no_option(refused, config_file, checkpoint, tmp_path):
    refused(
        'test',
        config_file(**{'test_cfg.fp16': True}),
        checkpoint,
        '--work-dir',
        tmp_path / 'out',
        says=['RepresentationTestLoop', "'fp16'"],
    )


def test_no_bank_or_no_queries(refused, config_file, checkpoint, tmp_path):
    refused(
        'test',
        config_file(**{'test_dataloader.dataset.subset': 'train'}),
        checkpoint,
        '--work-dir',
        tmp_path / 'out',
        says=['18 training and 0 test sequences', "subset='both'"],
    )


def test_the_newest_checkpoint_of_a_moved_work_dir(refused, config_file, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'last_checkpoint').write_text(str(tmp_path / 'old' / 'epoch_1.pth'))
    refused(
        'train',
        config_file(),
        '--work-dir',
        tmp_path / 'out',
        '--resume',
        says=[r"old/epoch_1\.pth' does not exist"],
    )


def test_a_sequence_of_one_frame_trains(tool, write_tiny_archive, config_file, tmp_path):
    write_tiny_archive(tmp_path / 'short', frames=1)
    assert tool('train', config_file(tmp_path / 'short'), '--work-dir', tmp_path / 'out') == 0
    state = torch.load(tmp_path / 'out' / 'epoch_2.pth', weights_only=True)['state_dict']
    assert all(torch.isfinite(value).all() for value in state.values())


def test_unexpected_errors_are_not_swallowed():
    """A bug of ours keeps its traceback."""
    with pytest.raises(ZeroDivisionError), report_errors():
        1 / 0  # noqa: B018


def test_an_interrupt_ends_with_its_own_code(capsys):
    with pytest.raises(SystemExit) as stop, report_errors():
        raise KeyboardInterrupt
    assert stop.value.code == 130 and capsys.readouterr().err == 'interrupted\n'
