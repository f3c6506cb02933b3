"""The converter of public weights at the command line."""
import os
import pickle
import subprocess
import sys

import pytest
import torch

from mmactclr.apis import init_model
from mmactclr.models import STGCN

TOOL = 'tools/model_converters/official_to_mmactclr.py'


@pytest.fixture
def run(repo_root, tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, repo_root / TOOL, *map(str, arguments)], cwd=tmp_path, text=True,
                              capture_output=True)

    return run


def public_names(encoder):
    state = {}
    for name, value in encoder.state_dict().items():
        name = 'A' if name == 'adjacency' else name.replace('units.', 'st_gcn_networks.').replace('.gcn.', '.gcn.conv.')
        state[f'encoder_q.{name}'] = value
    return state


@pytest.fixture
def public(tmp_path):
    """An encoder under public names, as a file."""
    state = public_names(STGCN('ntu25', channels=(4, 4, 8), strided_units=(3,)))
    torch.save(state, tmp_path / 'public.pt')
    return state


def test_there_and_back(run, public, tmp_path):
    done = run('public.pt', 'new/ours.pth', '--stream', 'motion')
    assert done.returncode == 0, done.stderr
    for line in ('model: Recognizer, motion', '3 units, channels [4, 4, 8]', 'stride 2 at units [3], assumed',
                 'strategy spatial, hops one', 'written: new/ours.pth'):
        assert line in done.stdout
    model = init_model(checkpoint=tmp_path / 'new' / 'ours.pth')
    assert model.stream == 'motion' and model.card.source.startswith('public.pt, sha256 ')
    done = run('new/ours.pth', 'back.pt', '--reverse')
    assert done.returncode == 0 and 'under public names' in done.stdout
    assert 'not in a public file: stride 2 at units [3], layout ntu25, stream motion' in done.stdout
    back = torch.load(tmp_path / 'back.pt', weights_only=True)
    # a file of one stream has no stream in its names
    assert back.keys() == public.keys() and all(torch.equal(back[name], public[name]) for name in back)


@pytest.mark.parametrize('arguments, message', [
    (('missing.pt', 'ours.pth'), 'missing.pt'), (('text.pt', 'ours.pth'), 'text.pt'),
    (('public.pt', 'public.pt'), '--overwrite'), (('public.pt', 'ours.pth', '--layout', 'kinect20_nwucla'), '--layout'),
    (('public.pt', 'ours.pth', '--strided-units', '9'), 'units 1 to 3'),
    (('public.pt', 'ours.pth', '--classes', 'missing.txt'), 'missing.txt'),
    (('public.pt', 'ours.pth', '--reverse'), 'no counterpart')])
def test_what_does_not_work_is_one_line(run, public, tmp_path, arguments, message):
    (tmp_path / 'text.pt').write_text('weights')
    done = run(*arguments)
    assert done.returncode == 1 and message in done.stderr
    assert done.stderr.startswith('error:') and done.stderr.count('\n') == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ['public.pt', 'text.pt']


class Hostile:
    """Makes a folder where it is unpickled without care."""

    def __reduce__(self):
        return os.mkdir, ('executed',)


@pytest.mark.parametrize('damage', [
    lambda path, state: path.write_bytes(pickle.dumps({'encoder_q.A': Hostile()})),
    lambda path, state: path.write_bytes(path.read_bytes()[:-2000]),
    lambda path, state: torch.save({**state, 'encoder_q.st_gcn_networks.0.tcn.0.weight': torch.tensor(1.)}, path),
    lambda path, state: torch.save({k: v for k, v in state.items() if 'running_mean' not in k}, path)])
def test_damaged_files_are_one_line(run, public, tmp_path, damage):
    damage(tmp_path / 'public.pt', public)
    done = run('public.pt', 'ours.pth')
    assert done.returncode == 1 and done.stderr.startswith('error: public.pt')
    assert done.stderr.count('\n') == 1 and done.stdout == ''
    assert [path.name for path in tmp_path.iterdir()] == ['public.pt']


def test_strides_that_no_unit_has(run, tmp_path):
    encoder = STGCN('ntu25', channels=(4, 4), strided_units=())
    torch.save(public_names(encoder), tmp_path / 'public.pt')
    done = run('public.pt', 'ours.pth', '--strided-units')
    assert done.returncode == 0 and 'stride 2 at units []\n' in done.stdout


def test_help_says_how(run):
    text = run('--help').stdout
    assert all(option in text for option in ('--stream', '--strided-units', '--classes', '--reverse', 'Example'))
