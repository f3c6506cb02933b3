"""The plugin template, copied, renamed as its README says and installed into an environment of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / 'docs' / 'plugin_template'
CONVERT, TRAIN = ROOT / 'tools' / 'dataset_converters' / 'convert.py', ROOT / 'tools' / 'train.py'
SMALL = [
    'num_frames=16', 'train_dataloader.batch_size=8', 'train_cfg.max_epochs=1', 'param_scheduler.T_max=1',
    'default_hooks.checkpoint.interval=1', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']
ACTCLR = [*SMALL, 'model.stage_epochs=0,1', 'model.memory.size=16']


def run(*command: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run a command in a folder; nothing but the given variables says where modules lie."""
    env = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'MMACTCLR_PLUGINS')}
    done = subprocess.run(list(map(str, command)), cwd=folder, text=True, capture_output=True,
                          env={**env, 'OMP_NUM_THREADS': '1', **variables})
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done


def copy_template(folder: Path) -> Path:
    """The template as version control has it."""
    junk = shutil.ignore_patterns('__pycache__', '*.egg-info', 'build', '.*')
    return Path(shutil.copytree(TEMPLATE, folder, ignore=junk))


@pytest.fixture(scope='module')
def takes(tmp_path_factory) -> Path:
    """Recordings in the format that the template's converter reads: two classes of two subjects."""
    folder, rng = tmp_path_factory.mktemp('takes'), np.random.default_rng(0)
    rest = rng.normal(0, .4, (25, 3))
    for number in range(24):
        label, subject = number % 2, ('anna', 'ben', 'cleo')[number % 3]
        motion = np.tile(rest, (20, 1, 1)) + rng.normal(0, .02, (20, 25, 3))
        motion[:, 4 + 4 * label:8 + 4 * label, 1] += .4 * np.sin(np.linspace(0, 6, 20) + number)[:, None]
        take = {'class': ('left', 'right')[label], 'subject': subject, 'frames': motion.round(4).tolist()}
        (folder / f'{number:02d}.json').write_text(json.dumps(take))
    return folder


@pytest.fixture(scope='module')
def renamed(tmp_path_factory) -> Path:
    """A copy that is called ``limbs``, by the commands of its README."""
    folder = copy_template(tmp_path_factory.mktemp('user') / 'limbs')
    section = (folder / 'README.md').read_text().partition('## Rename it')[2]
    commands = re.search(r'```bash\n(.*?)```', section, re.DOTALL)
    assert commands is not None
    run('bash', '-euc', commands[1], folder=folder)
    left = [path for path in folder.rglob('*') if 'myplugin' in path.name
            or path.is_file() and 'myplugin' in path.read_text()]
    assert not left
    return folder


@pytest.fixture(scope='module')
def python(tmp_path_factory, renamed) -> Path:
    """Interpreter of an environment with the packages of this one, this checkout and the installed plugin."""
    environment = tmp_path_factory.mktemp('environment')
    run(sys.executable, '-m', 'venv', '--without-pip', environment, folder=environment)
    found = environment / 'bin' / 'python'
    purelib = run(found, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', folder=environment).stdout
    Path(purelib.strip(), 'outer.pth').write_text(f'{sysconfig.get_path("purelib")}\n{ROOT}\n')
    run(found, '-m', 'pip', 'install', '-q', '--no-index', '--no-deps', '--no-build-isolation', renamed,
        folder=environment)
    return found


@pytest.fixture(scope='module')
def archive(python, takes, tmp_path_factory) -> Path:
    """What the installed converter wrote."""
    folder = tmp_path_factory.mktemp('converted')
    said = run(python, CONVERT, 'takejson', takes, 'archive', '--test-subjects', 'cleo', folder=folder).stdout
    assert '24 sequences, 2 classes' in said and 'xsub 16/8' in said
    return folder / 'archive'


@pytest.fixture
def weights(tmp_path) -> Callable[[str], dict[str, torch.Tensor]]:
    """Reads the weights that a run of one epoch left in a folder."""
    return lambda name: torch.load(tmp_path / name / 'epoch_1.pth', weights_only=True)['state_dict']


def test_its_own_tests_pass(python, renamed):
    assert re.search(r'\b7 passed', run(python, '-m', 'pytest', '-q', folder=renamed).stdout)


def test_what_it_adds_is_listed_as_ours_is(python, tmp_path):
    script = (
        'import sys, mmactclr.plugins as plugins; folders = plugins.plugin_configs()\n'
        'print(*folders, "limbs" in sys.modules, "torch" in sys.modules)\n'
        'from mmactclr.apis import list_models; print(*list_models("*_takes_*"), "limbs" in sys.modules)\n'
        'from mmactclr.registry import MODELS; print(MODELS.get("SimSiam").__module__)\n'
        'print(plugins.load_plugins())\n'
        'import convert; print(convert.build_parser().format_help())')
    found, models, kind, loaded, *formats = run(
        python, '-c', script, folder=tmp_path, PYTHONPATH=str(CONVERT.parent)).stdout.splitlines()
    assert found == 'limbs False False'
    assert models == 'actclr_joint_takes_xsub simsiam_joint_takes_xsub False'
    assert kind == 'limbs.method' and "package='limbs 0.1.0', error=''" in loaded
    assert 'takejson One JSON file a recording' in ' '.join(' '.join(formats).split())


def test_actclr_trains_with_its_backbone_and_transform_through_the_entry_point(python, archive, tmp_path, weights):
    said = run(python, TRAIN, 'actclr_joint_takes_xsub', '--work-dir', 'out', '--cfg-options',
               f'data_root={archive}', *ACTCLR, folder=tmp_path)
    assert 'plugin limbs: limbs 0.1.0' in said.stdout + said.stderr
    assert 'backbone_k.joints.in_proj_weight' in weights('out')


def test_its_method_pretrains(python, archive, tmp_path, weights):
    run(python, TRAIN, 'simsiam_joint_takes_xsub', '--work-dir', 'out', '--cfg-options', f'data_root={archive}',
        *SMALL, folder=tmp_path)
    assert 'predictor.layers.0.weight' in weights('out')
    [log] = (tmp_path / 'out').rglob('scalars.json')
    assert -1 <= json.loads(log.read_text().splitlines()[-1])['loss_simsiam'] <= 1


def test_actclr_trains_with_a_package_that_is_not_installed(archive, tmp_path, weights):
    source = copy_template(tmp_path / 'copy') / 'src'
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'copy/src/myplugin/configs/actclr_joint_takes_xsub.py'\n"
        "custom_imports = dict(imports=['myplugin'])\n")
    run(sys.executable, TRAIN, 'mine.py', '--work-dir', 'out', '--cfg-options', f'data_root={archive}', *ACTCLR,
        folder=tmp_path, PYTHONPATH=str(source))
    assert 'backbone_k.joints.in_proj_weight' in weights('out')
