"""The wheel in an environment of its own: everything works by name, from a folder that holds nothing."""
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

from mmactclr.utils.places import SHIPPED

ROOT = Path(__file__).resolve().parents[1]
# what a build reads, of all that a checkout holds
_SOURCE = ('mmactclr', 'configs', 'tools', 'docs/examples', 'setup.py', 'setup.cfg', 'pyproject.toml', 'MANIFEST.in',
           'model-index.yml', 'README.md', 'LICENSE', 'Makefile', 'requirements.txt', 'requirements-test.txt',
           'requirements-docs.txt')
_BUILD = 'import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])'
# a torch that nobody may import, and every command of the package
_HELP = '''
import contextlib, io, runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'mmengine', 'numpy', 'matplotlib'):
            raise RuntimeError(f'{name} is imported for a --help')
sys.meta_path.insert(0, Refuse())
from mmactclr.__main__ import commands, main
for name, path in commands().items():
    if path.suffix != '.py':
        continue
    for run in (lambda: main([name, '--help']), lambda: runpy.run_path(str(path), run_name='__main__')):
        sys.argv, out = [str(path), '--help'], io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                code = run()
            except SystemExit as end:
                code = end.code
        assert not code or isinstance(code, dict), (name, code)
        assert len(out.getvalue()) > 200, (name, out.getvalue())
    print(name)
'''


def run(*words: str | Path, cwd: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """A child process without the path of the tests, whose exit code is checked."""
    env = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'PYTHONHOME')}
    env.update(OMP_NUM_THREADS='1', PIP_NO_INDEX='1', PIP_DISABLE_PIP_VERSION_CHECK='1', **environment)
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, text=True, capture_output=True, timeout=300)
    said = f'{done.stdout[-2000:]}\n{done.stderr[-4000:]}'
    assert done.returncode == code, f'{words}: exit code {done.returncode}\n{said}'
    return done


def build(source: Path, kind: str, target: Path) -> Path:
    """Build ``wheel``, ``sdist`` or ``editable`` without a network."""
    target.mkdir()
    run(sys.executable, '-c', _BUILD, f'build_{kind}', target, cwd=source)
    (built,) = target.iterdir()
    return built


def install(wheel: Path, folder: Path) -> Path:
    """A new environment with a wheel in it and the packages of this one, but not the mmactclr of this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / 'bin' / 'python'
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps', wheel, cwd=folder)
    here = Path(run(python, '-c', "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    # a folder that a .pth file names has its own .pth files left alone: an editable installation stays unseen
    packages = dict.fromkeys([sysconfig.get_path('purelib'), sysconfig.get_path('platlib')])
    (here / 'packages_of_the_tests.pth').write_text('\n'.join(packages) + '\n')
    return python


def contents(wheel: Path) -> dict[str, bytes]:
    """Files of a wheel; those that describe the build itself are left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(('/RECORD', '/WHEEL'))}


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A copy of the checkout, with what an earlier build left behind."""
    copy = tmp_path_factory.mktemp('source') / 'mmactclr'
    for name in _SOURCE:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            shutil.copy2(ROOT / name, copy / name)
    stale = copy / 'build' / 'lib' / 'mmactclr' / 'removed_long_ago.py'
    stale.parent.mkdir(parents=True)
    stale.touch()
    # a suite without what it imports is of no use to whoever unpacks an sdist
    (copy / 'tests').mkdir()
    (copy / 'tests' / 'test_something.py').touch()
    return copy


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> Path:
    """The wheel of the checkout."""
    return build(source, 'wheel', tmp_path_factory.mktemp('wheel') / 'dist')


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Path:
    """The interpreter of the environment that all tests here share."""
    return install(wheel, tmp_path_factory.mktemp('environment') / 'venv')


@pytest.fixture(scope='module')
def home(tmp_path_factory) -> Path:
    """A folder that holds nothing."""
    return tmp_path_factory.mktemp('home')


@pytest.fixture(scope='module')
def trained(installed, home) -> Path:
    """Work dir of a training by name."""
    command = installed.with_name('mmactclr')
    run(command, 'convert', 'synthetic', '-', 'data/synthetic', '--num-subjects', '3', '--repeats', '1', cwd=home)
    done = run(command, 'train', 'actclr_joint_synthetic_xsub', '--work-dir', 'first', '--cfg-options',
               'train_cfg.max_epochs=1', 'param_scheduler.T_max=1', 'model.stage_epochs=0,1',
               'train_dataloader.batch_size=16', 'model.memory.size=16', 'default_hooks.actionlet_overlap.num=4',
               'model.backbone.channels=[4,8]', 'model.backbone.strided_units=[1]', 'model.projector.in_channels=8',
               cwd=home)
    assert 'Traceback' not in done.stderr
    return home / 'first'


def test_a_wheel_carries_the_package_and_all_that_is_named(wheel):
    found = set(contents(wheel))
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'mmactclr').rglob('*')
              if path.is_file() and not {'__pycache__', '.mim'} & set(path.parts)}
    for name in SHIPPED:
        paths = (ROOT / name).rglob('*') if (ROOT / name).is_dir() else [ROOT / name]
        wanted |= {f'mmactclr/.mim/{path.relative_to(ROOT).as_posix()}' for path in paths
                   if path.is_file() and '__pycache__' not in path.parts}
    missing, surplus = wanted - found, {name for name in found if '.dist-info/' not in name} - wanted
    assert not missing and not surplus, (sorted(missing)[:9], sorted(surplus)[:9])
    suffixes = {Path(name).suffix for name in found}
    assert {'.py', '.sh', '.yml', '.pth', '.md'} <= suffixes


def test_what_setup_ships_is_what_the_package_looks_for():
    import ast
    values = {node.targets[0].id: node.value for node in ast.parse((ROOT / 'setup.py').read_text()).body
              if isinstance(node, ast.Assign)}
    assert ast.literal_eval(values['SHIPPED']) == SHIPPED


def test_an_sdist_builds_the_same_wheel(source, wheel, tmp_path):
    sdist = build(source, 'sdist', tmp_path / 'dist')
    with tarfile.open(sdist) as archive:
        assert not [name for name in archive.getnames() if '/tests' in name]
        archive.extractall(tmp_path, filter='data')
    (folder,) = [path for path in tmp_path.iterdir() if path.name.startswith('mmactclr-')]
    again = build(folder, 'wheel', tmp_path / 'wheel')
    first, second = contents(wheel), contents(again)
    assert sorted(first) == sorted(second)
    assert not [name for name in first if first[name] != second[name]]


def test_what_openmmlabs_package_manager_looks_for_is_there(installed, home):
    """Of mim 0.3.9: model-index.yml with its imports, tools/train.py and test.py, configs by a unique name."""
    code = 'import mmactclr, pathlib; print(pathlib.Path(mmactclr.__file__).parent)'
    package = Path(run(installed, '-c', code, cwd=home).stdout.strip())
    assert package.is_relative_to(installed.parents[1])
    mim = package / '.mim'
    for name in yaml.safe_load((mim / 'model-index.yml').read_text())['Import']:
        for model in yaml.safe_load((mim / name).read_text())['Models']:
            assert len(list(package.rglob(Path(model['Config']).name))) == 1
            assert (mim / model['Config']).is_file()
    assert (mim / 'tools/train.py').is_file() and (mim / 'tools/test.py').is_file()


def test_every_help_answers_without_torch(installed, home):
    tools = [path.stem.replace('_', '-') for path in (ROOT / 'tools').rglob('*.py')]
    assert sorted(run(installed, '-c', _HELP, cwd=home).stdout.split()) == sorted(tools)


def test_the_command_lists_every_tool(installed, home):
    shown = run(installed.with_name('mmactclr'), '--help', cwd=home).stdout
    assert shown == run(installed, '-m', 'mmactclr', '--help', cwd=home).stdout
    for path in (ROOT / 'tools').rglob('*'):
        if path.suffix in ('.py', '.sh'):
            assert f'\n  {path.stem.replace("_", "-")} ' in shown
    version = run(installed.with_name('mmactclr'), '--version', cwd=home).stdout
    assert version == f'mmactclr {(ROOT / "mmactclr/version.py").read_text().split(chr(39))[1]}\n'


@pytest.mark.parametrize('name', ['dist-train', 'dist-test', 'slurm-train', 'slurm-test'])
def test_help_of_the_launchers(installed, home, name):
    assert 'usage' in run(installed.with_name('mmactclr'), name, '--help', cwd=home).stdout


def test_an_unknown_command_is_answered_with_the_nearest(installed, home):
    done = run(installed.with_name('mmactclr'), 'trian', cwd=home, code=2)
    assert done.stderr == "error: unknown command 'trian'; did you mean train?\n"


def test_training_by_name(trained):
    assert (trained / 'epoch_1.pth').is_file() and (trained / 'metrics.json').is_file()
    (start,) = json.loads((trained / 'run.json').read_text())
    assert start['command'].startswith('mmactclr train actclr_joint_synthetic_xsub --work-dir first ')


def test_testing_by_name(installed, home, trained):
    run(installed.with_name('mmactclr'), 'test', 'knn_synthetic_xsub', 'first/epoch_1.pth', '--work-dir', 'tested',
        '--cfg-options', 'test_cfg.baselines=None', cwd=home)
    assert 'knn/backbone_k20' in str(json.loads((home / 'tested' / 'metrics.json').read_text()))


def test_published_weights_by_name(installed, home, trained):
    """Inference with weights that the wheel carries, on an archive."""
    run(installed.with_name('mmactclr'), 'infer', 'actclr_joint_synthetic', 'data/synthetic', '--out', 'looked',
        cwd=home)
    assert (home / 'looked' / 'results.json').is_file()
    listed = run(installed.with_name('mmactclr'), 'list', 'models', cwd=home).stdout
    assert sorted(line.split()[0] for line in listed.splitlines()) == sorted(
        path.stem for path in (ROOT / 'mmactclr/zoo').glob('*.yml'))


def test_an_editable_installation_reads_the_checkout(source, tmp_path):
    python = install(build(source, 'editable', tmp_path / 'dist'), tmp_path / 'venv')
    listed = run(python.with_name('mmactclr'), 'list', 'configs', 'moco_joint_synthetic*', cwd=tmp_path).stdout
    assert listed == 'moco_joint_synthetic_xsub  configs/moco/moco_joint_synthetic_xsub.py\n'
    code = "import mmactclr.utils.places as p; print(p.shipped('tools'))"
    assert run(python, '-c', code, cwd=tmp_path).stdout.strip() == str(source / 'tools')
    for name in SHIPPED:
        assert (source / 'mmactclr/.mim' / name).resolve() == source / name
