"""Where configs lie that are known by name: those of this package and those of installed plugins."""
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from mmactclr.plugins import plugin_configs

from .places import shipped


def config_folders() -> dict[str, list[Path]]:
    """Folders of configs by import package, this one first.

    Raises:
        ConfigError: If ``MMACTCLR_PLUGINS`` is neither ``on`` nor ``off``.
    """
    return {'mmactclr': [shipped('configs')],
            **{package: [folder] for package, folder in plugin_configs().items()}}


def resolve_base(base: str, folder: Path) -> Path | None:
    """File that a ``_base_`` means.

    Args:
        base: Path relative to ``folder``, or ``PACKAGE::PATH``: relative to the configs of a package.
        folder: Folder of the config that has it.

    Returns:
        The file, whether it is there or not; None if the package is none of :func:`config_folders`.
    """
    package, scoped, path = base.partition('::')
    if not scoped:
        return folder / base
    candidates = [root / path for root in config_folders().get(package, ())]
    return next((file for file in candidates if file.is_file()), candidates[0] if candidates else None)


@contextmanager
def bases_of_packages() -> Iterator[None]:
    """While open, mmengine takes ``_base_ = 'PACKAGE::PATH'`` from :func:`config_folders`.

    By itself it knows a fixed list of packages, and finds them by a module that setuptools no longer has.
    """
    original = Config._get_cfg_path

    def find(cfg_path: str, filename: str) -> tuple[str, str | None]:
        file = resolve_base(cfg_path, Path(filename).parent) if '::' in cfg_path else None
        return original(cfg_path, filename) if file is None else (str(file), None)

    Config._get_cfg_path = staticmethod(find)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(original)
