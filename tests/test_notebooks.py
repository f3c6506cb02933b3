"""The notebooks of the documentation run from top to bottom."""
import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / 'docs' / 'notebooks').glob('*.ipynb'))


def test_there_are_two():
    assert len(NOTEBOOKS) == 2


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch, repo_root):
    # the kernel finds the checkout, whichever folder it runs in
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(repo_root), os.environ.get('PYTHONPATH', '')]))
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get('outputs') for cell in notebook.cells), 'outputs are not kept'
    client = nbclient.NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(tmp_path)}})
    client.execute()
    shown = [output for cell in notebook.cells if cell.cell_type == 'code' for output in cell.outputs]
    assert any('image/gif' in output.get('data', {}) for output in shown)
