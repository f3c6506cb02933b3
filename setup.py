"""Puts configs and tools into wheels; everything else is in setup.cfg.

OpenMMLab's package manager and ``mmactclr.utils.find_config`` look for them in ``mmactclr/.mim``.
An editable installation reads them where they are.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfigs(build_py):
    """``build_py`` that also copies ``configs`` and ``tools``."""

    def run(self) -> None:
        """Copy the package, then the folders."""
        super().run()
        if self.editable_mode:
            return
        for folder in ('configs', 'tools'):
            shutil.copytree(
                ROOT / folder,
                Path(self.build_lib) / 'mmactclr' / '.mim' / folder,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns('__pycache__'),
            )


setup(cmdclass={'build_py': BuildWithConfigs})
