"""Two trainings do not write into one folder; what is left of a dead one does not stop the next."""
import subprocess
import sys

import pytest

from mmactclr.apis import claims, run_training
from mmactclr.apis.claims import claimed
from mmactclr.errors import RunError

HOLDER = 'import sys, time\nfrom mmactclr.apis.claims import claimed\n' \
         'with claimed(sys.argv[1]):\n    print("held", flush=True)\n    time.sleep(600)\n'


@pytest.fixture
def holder(tmp_path, repo_root):
    """A process that has claimed a folder."""
    folder = tmp_path / 'run'
    folder.mkdir()
    process = subprocess.Popen([sys.executable, '-c', HOLDER, str(folder)], cwd=repo_root, stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == 'held\n'
    yield folder, process
    process.kill()
    process.wait()


def test_a_claim_ends_with_its_process(holder):
    folder, process = holder
    with pytest.raises(RunError, match=r'another training writes into .*run.*--work-dir'), claimed(folder, 0.):
        pass
    process.kill()
    process.wait()
    with claimed(folder, 0.):
        pass
    assert not list(folder.iterdir())


def test_what_ends_soon_is_waited_for(holder):
    folder, process = holder
    process.terminate()
    with claimed(folder, 30.):
        assert process.wait(30)


def test_a_claim_is_given_back(tmp_path):
    for _ in range(2):
        with claimed(tmp_path, 0.), pytest.raises(RunError), claimed(tmp_path, 0.):
            pass
    with claimed(tmp_path, 0.), claimed(tmp_path.parent, 0.):
        pass


def test_a_file_system_without_locks_has_none(tmp_path, monkeypatch):
    def refuse(handle, operation):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr(claims.fcntl, 'flock', refuse)
    with claimed(tmp_path, 0.), claimed(tmp_path, 0.):
        pass


def test_a_second_training_is_refused_before_it_writes(holder, tiny_archive, tiny_config, monkeypatch):
    folder, process = holder
    monkeypatch.setattr(claims, 'PATIENCE', 0.)
    cfg = tiny_config(tiny_archive)
    with pytest.raises(RunError, match='another training writes into'):
        run_training(cfg, folder)
    assert not list(folder.iterdir())
    process.kill()
    process.wait()
    for _ in range(2):
        run_training(tiny_config(tiny_archive), folder, resume='auto')
    assert (folder / 'epoch_2.pth').is_file()
