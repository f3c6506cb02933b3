"""Versions agree, ranges admit what was tested, wheels are complete."""

import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mmactclr

ROOT = Path(__file__).resolve().parents[1]
PINNED = ('requirements.txt', 'requirements-test.txt', 'requirements-docs.txt')


def requirements(text: str) -> list[Requirement]:
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


@pytest.fixture(scope='module')
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg')
    return parser


def pins() -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for name in PINNED:
        for requirement in requirements((ROOT / name).read_text()):
            found.setdefault(requirement.name, []).append(requirement)
    return found


def ranges(setup_cfg: configparser.ConfigParser) -> list[Requirement]:
    extras = setup_cfg['options.extras_require']
    return requirements(
        '\n'.join([setup_cfg['options']['install_requires'], *(extras[key] for key in extras)])
    )


def test_installed_version_is_the_one_of_the_code():
    assert importlib.metadata.version('mmactclr') == mmactclr.__version__


@pytest.mark.parametrize('name', PINNED)
def test_requirements_are_exact(name):
    for requirement in requirements((ROOT / name).read_text()):
        assert [spec.operator for spec in requirement.specifier] == ['=='], str(requirement)


@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12', '3.13'])
def test_every_python_gets_one_pin_of_each(python):
    for name, candidates in pins().items():
        chosen = [
            pin
            for pin in candidates
            if pin.marker is None or pin.marker.evaluate({'python_version': python})
        ]
        assert len(chosen) == 1, f'{name} on Python {python}: {chosen}'


def test_ranges_admit_the_pins(setup_cfg):
    admitted = 0
    for wanted in ranges(setup_cfg):
        for pin in pins().get(wanted.name, []):
            version = next(iter(pin.specifier)).version
            assert version in wanted.specifier, f'{wanted} does not admit {pin}'
            admitted += 1
    assert admitted >= 9


def test_ranges_have_no_upper_bound(setup_cfg):
    for wanted in ranges(setup_cfg):
        assert {spec.operator for spec in wanted.specifier} <= {'>='}, str(wanted)


def test_an_installation_never_touches_the_users_mmcv(setup_cfg):
    assert not [
        wanted
        for wanted in requirements(setup_cfg['options']['install_requires'])
        if 'mmcv' in wanted.name
    ]
    assert [
        wanted.name for wanted in requirements(setup_cfg['options.extras_require']['mmcv'])
    ] == ['mmcv-lite']


def test_missing_mmcv_is_named_at_import():
    hide = (
        'import importlib.util as util, sys; find = util.find_spec; '
        "util.find_spec = lambda name, *rest: None if name == 'mmcv' else find(name, *rest); "
        'import mmactclr'
    )
    done = subprocess.run([sys.executable, '-c', hide], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode and 'mmcv-lite' in done.stderr.splitlines()[-1]


def test_requires_the_python_that_make_asks_for(setup_cfg):
    asked = re.search(r'sys\.version_info < \((\d+), (\d+)\)', (ROOT / 'Makefile').read_text())
    assert setup_cfg['options']['python_requires'] == f'>={asked[1]}.{asked[2]}'


def test_wheel_finds_its_configs(tmp_path):
    pytest.importorskip('setuptools')
    built = tmp_path / 'lib'
    subprocess.run(
        [
            sys.executable,
            'setup.py',
            '-q',
            'egg_info',
            '--egg-base',
            tmp_path,
            'build_py',
            '--build-lib',
            built,
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    code = (
        'import mmactclr; from mmactclr.utils import load_config; '
        "print(mmactclr.__file__, load_config('actclr_3s_ntu60_xsub').filename)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(built)),
        check=True,
        capture_output=True,
        text=True,
    )
    package, config = done.stdout.split()[-2:]
    assert Path(package).is_relative_to(built) and Path(config).is_relative_to(built)
    for folder in ('mmactclr', 'configs', 'tools'):
        target = built / 'mmactclr' / ('' if folder == 'mmactclr' else f'.mim/{folder}')
        missing = [
            path
            for path in (ROOT / folder).rglob('*.py')
            if '.mim' not in path.parts and not (target / path.relative_to(ROOT / folder)).is_file()
        ]
        assert not missing
