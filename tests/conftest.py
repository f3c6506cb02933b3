"""Fixtures that every room's tests share."""
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Folder with golden files and real data: ``$MMACTCLR_SHARED`` or ``shared`` beside the checkout."""
    folder = Path(os.environ.get('MMACTCLR_SHARED', ROOT.parent / 'shared'))
    if not (folder / 'golden').is_dir():
        pytest.skip(f'no golden files: {folder} does not exist (set MMACTCLR_SHARED to the folder that holds golden/ and data/)')
    return folder


@pytest.fixture(scope='session')
def golden_dir(shared_dir: Path) -> Path:
    """Reference numbers to check each step against."""
    return shared_dir / 'golden'


@pytest.fixture(scope='session')
def real_data_dir(shared_dir: Path) -> Path:
    """Real skeleton sequences as flat npz files."""
    return shared_dir / 'data'
