"""The documentation builds without a warning."""
import subprocess
import sys


def test_no_warning(repo_root, tmp_path):
    done = subprocess.run([sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', 'html', repo_root / 'docs',
                           tmp_path / 'html'], cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'html' / 'index.html').is_file()
