"""The plugin template, copied, renamed as its README says and installed into an environment of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / 'docs' / 'plugin_template'
CONVERT = ROOT / 'tools' / 'dataset_converters' / 'convert.py'
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


def blocks(folder: Path, heading: str) -> dict[str, str]:
    """Code of a section of the README by language."""
    section = (folder / 'README.md').read_text().partition(f'## {heading}\n')[2].partition('\n## ')[0]
    found = dict(re.findall(r'```(\w+)\n(.*?)```', section, re.DOTALL))
    assert 'bash' in found
    return found


def follow(commands: str, python: Path, folder: Path) -> str:
    """Run commands of the README as they stand, but for pip and pytest; runs are made short at the end of their line.

    Returns:
        What they printed.
    """
    lines = [line for line in commands.splitlines() if not line.startswith(('pip install', 'pytest'))]
    lines = [' '.join([line, '--cfg-options', *(SMALL if 'simsiam' in line else ACTCLR)]) if ' train ' in line
             else line for line in lines]
    assert any(' convert ' in line for line in lines) and any(' train ' in line for line in lines)
    command = folder / 'bin' / 'mmactclr'
    command.parent.mkdir()
    # the script that pip makes of the entry point
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT}${{PYTHONPATH:+:$PYTHONPATH}} exec {python} -m mmactclr "$@"\n')
    command.chmod(0o755)
    done = run('bash', '-euc', '\n'.join(lines), folder=folder, PATH=f'{command.parent}:{os.environ["PATH"]}')
    return done.stdout + done.stderr


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
    run('bash', '-euc', blocks(folder, 'Rename it')['bash'], folder=folder)
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
def followed(python, renamed, takes) -> tuple[Path, str]:
    """The renamed folder after the commands that use it, and what they printed."""
    shutil.copytree(takes, renamed / 'recordings')
    said = follow(blocks(renamed, 'Install and use it')['bash'], python, renamed)
    assert '24 sequences, 2 classes' in said and 'xsub 16/8' in said
    return renamed, said


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """What a run of one epoch left."""
    return torch.load(folder / 'work_dirs' / name / 'epoch_1.pth', weights_only=True)['state_dict']


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


def test_the_readme_shows_a_recording_as_the_converter_reads_it(takes):
    shown = json.loads(blocks(TEMPLATE, 'Install and use it')['json'])
    written = json.loads(next(takes.iterdir()).read_text())
    assert shown.keys() == written.keys()
    assert np.ndim(shown['frames']) == np.ndim(written['frames']) and np.shape(shown['frames'])[-1] == 3


def test_actclr_trains_with_its_backbone_and_transform_through_the_entry_point(followed):
    folder, said = followed
    assert 'plugin limbs: limbs 0.1.0' in said
    assert 'backbone_k.joints.in_proj_weight' in weights(folder, 'actclr')


def test_its_method_pretrains(followed):
    folder, _ = followed
    assert 'predictor.layers.0.weight' in weights(folder, 'simsiam')
    [log] = (folder / 'work_dirs' / 'simsiam').rglob('scalars.json')
    assert -1 <= json.loads(log.read_text().splitlines()[-1])['loss_simsiam'] <= 1


def test_actclr_trains_with_a_package_that_is_not_installed(takes, tmp_path):
    folder = copy_template(tmp_path / 'copy')
    shutil.copytree(takes, folder / 'recordings')
    code = blocks(folder, 'Use it without installing it')
    (folder / 'my_config.py').write_text(code['python'])
    assert 'xsub 16/8' in follow(code['bash'], Path(sys.executable), folder)
    assert 'backbone_k.joints.in_proj_weight' in weights(folder, 'mine')
