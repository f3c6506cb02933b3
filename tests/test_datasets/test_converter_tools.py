"""convert.py and verify.py as a user types them."""
import io
import os
import subprocess
import sys

import numpy as np
import pytest

from mmactclr.datasets import SkeletonArchive
from mmactclr.registry import CONVERTERS

from .conftest import flat_fields
from .test_verification import edit_rows


def test_convert_and_verify(tool, flat_file, tmp_path, capsys):
    assert tool('convert', 'flat', flat_file(), tmp_path / 'a') == 0
    assert '6 sequences, 3 classes, layout kinect20_utdmhad' in capsys.readouterr().out
    assert tool('verify', tmp_path / 'a') == 0
    assert 'xsub: 3 train, 3 test' in capsys.readouterr().out


def test_options_reach_the_converter(tool, flat_file, tmp_path):
    joints = np.array([f'j{i}' for i in range(20)])
    assert tool('convert', 'flat', flat_file(joint_names=joints), tmp_path / 'a', '--centre', 'j1',
                '--shoulders', 'j4', 'j8', '--hips', 'j12', 'j16', '--flip-pairs', 'j4,j8',
                'j12,j16', '--where', 'label=1', '--where', 'subject=4',
                '--metres-per-unit', 2) == 0
    archive = SkeletonArchive.open(tmp_path / 'a')
    assert archive.layout.flip_pairs == ((4, 8), (12, 16)) and archive.labels.tolist() == [1]


def test_existing_archives_need_overwrite(tool, flat_file, tmp_path, capsys):
    source, dst = flat_file(), tmp_path / 'a'
    assert tool('convert', 'flat', source, dst) == 0
    assert tool('convert', 'flat', source, dst) == 1
    assert 'pass --overwrite' in capsys.readouterr().err
    assert tool('convert', 'flat', source, dst, '--overwrite', '--where', 'label=1') == 0
    assert len(SkeletonArchive.open(dst)) == 2


def test_strict(tool, flat_file, tmp_path, capsys):
    source = flat_file(label=np.array([0, 1, 2, 0, 9, 2]))
    assert tool('convert', 'flat', source, tmp_path / 'a', '--strict') == 1
    assert "'take4': label outside 0 to 2" in capsys.readouterr().err
    assert tool('convert', 'flat', source, tmp_path / 'a') == 0
    assert tool('verify', tmp_path / 'a') == 0
    assert 'left out 1 at conversion (label outside 0 to 2): take4' in capsys.readouterr().out


def test_verify_fails_on_damage_and_copies(tool, flat_file, tmp_path, capsys):
    rows = flat_fields()['keypoint']
    rows[12:13] = rows[7:8]
    source = flat_file(keypoint=rows, offsets=np.array([0, 7, 8, 12, 13, 40, 64]),
                       split_xsub=np.array(['train', 'train', 'train', 'test', 'test', 'train']))
    assert tool('convert', 'flat', source, tmp_path / 'a') == 0
    assert tool('verify', tmp_path / 'a') == 1
    assert 'PROBLEM: split' in capsys.readouterr().out
    assert tool('verify', tmp_path / 'a', '--copies', '--allow-copies') == 0
    out = capsys.readouterr().out
    assert 'WARNING: split' in out and 'xsub\ttake3\ttake1\n' in out
    edit_rows(tmp_path / 'a', 0, 1, honest=False)
    assert tool('verify', tmp_path / 'a') == 1
    assert 'PROBLEM' in capsys.readouterr().out
    assert tool('verify', tmp_path / 'nowhere') == 1


def test_help_lists_every_format(tool, capsys):
    with pytest.raises(SystemExit):
        tool('convert', '--help')
    out = capsys.readouterr().out
    assert all(name in out for name in CONVERTERS.module_dict)


def test_a_converter_of_the_users_own(tool, tmp_path, monkeypatch, capsys):
    (tmp_path / 'my_format.py').write_text('''
import numpy as np
from mmactclr.datasets import ArchiveWriter
from mmactclr.datasets.converters import BaseConverter
from mmactclr.registry import CONVERTERS

@CONVERTERS.register_module('mine')
class MyConverter(BaseConverter):
    """My format."""
    def convert(self, src, dst, *, overwrite=False, strict=False):
        with ArchiveWriter(dst, 'coco17', overwrite=overwrite, strict=strict) as writer:
            for row in self.track(np.loadtxt(src), 'reading'):
                writer.add(np.full((1, 2, 17, 2), row))
            return writer.finish()
''')
    np.savetxt(tmp_path / 'data.txt', [1., 2.])
    monkeypatch.syspath_prepend(tmp_path)
    assert tool('convert', '--custom-imports', 'no_such_module', 'mine', 'a', 'b') == 1
    assert 'no_such_module' in capsys.readouterr().err
    for name in ('convert', 'export'):
        assert tool(name, '--custom-imports', 'my_formt', 'mine', 'a', 'b') == 1
        said = capsys.readouterr().err
        assert all(part in said for part in ('--custom-imports my_formt', 'did you mean my_format?', 'PYTHONPATH'))
    try:
        assert tool('convert', '--custom-imports', 'my_format', 'mine', tmp_path / 'data.txt',
                    tmp_path / 'a') == 0
    finally:
        CONVERTERS.module_dict.pop('mine', None)
    assert SkeletonArchive.open(tmp_path / 'a').sequence(1)[0, 0, 0, 0] == 2


def test_bad_input_gives_one_line_and_status_1(repo_root, tmp_path):
    """In a process of its own: no traceback, and no progress bar in a pipe."""
    (tmp_path / 'cut.npz').write_bytes(b'PK\x03\x04')
    done = subprocess.run(
        [sys.executable, repo_root / 'tools' / 'dataset_converters' / 'convert.py', 'flat',
         tmp_path / 'cut.npz', tmp_path / 'a'], capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(repo_root), 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 1 and done.stdout == ''
    assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('terminal', [True, False])
def test_progress_bars_are_for_terminals_only(tool, flat_file, tmp_path, monkeypatch, terminal):
    monkeypatch.setenv('TERM', 'xterm')
    screen = io.StringIO()
    screen.isatty = lambda: terminal
    monkeypatch.setattr(sys, 'stderr', screen)
    assert tool('convert', 'flat', flat_file(), tmp_path / 'a') == 0
    assert ('converting' in screen.getvalue()) is terminal
