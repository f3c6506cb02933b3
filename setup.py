"""Puts configs, tools and the model index into wheels; everything else is in setup.cfg.

OpenMMLab's package manager and ``mmactclr.utils.places`` look for them in ``mmactclr/.mim``. An editable installation
has links there, to where they are.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# mmactclr.utils.places.SHIPPED; a test compares the two
SHIPPED = ('configs', 'tools', 'model-index.yml')


class BuildWithConfigs(build_py):
    """``build_py`` that also fills ``.mim``."""

    def run(self) -> None:
        """Copy the package, then the rest."""
        if self.editable_mode:
            super().run()
            self._link(ROOT / 'mmactclr' / '.mim')
            return
        # of an earlier build, in which other files may have been
        shutil.rmtree(Path(self.build_lib) / 'mmactclr', ignore_errors=True)
        super().run()
        target = Path(self.build_lib) / 'mmactclr' / '.mim'
        for name in SHIPPED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns('__pycache__', '*.py[co]'))
            else:
                shutil.copy2(ROOT / name, target / name)

    @staticmethod
    def _link(target: Path) -> None:
        target.mkdir(exist_ok=True)
        for name in SHIPPED:
            link = target / name
            if link.is_symlink():
                link.unlink()
            link.symlink_to(os.path.relpath(ROOT / name, target), target_is_directory=(ROOT / name).is_dir())


setup(cmdclass={'build_py': BuildWithConfigs})
