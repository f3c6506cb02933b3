"""Packages that add components of their own: found by entry point, imported when a registry is first searched.

A package names a module of its own in the group ``mmactclr.plugins``; importing that module registers what it adds.
``MMACTCLR_PLUGINS=off`` leaves all of them out.
"""
import logging
import os
import threading
import traceback
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from .errors import ConfigError

GROUP = 'mmactclr.plugins'
SWITCH = 'MMACTCLR_PLUGINS'
# folder of a plugin's import package in which its configs lie
CONFIGS = 'configs'


@dataclass(frozen=True)
class Plugin:
    """An installed plugin, after the attempt to import it.

    Attributes:
        name: Name of its entry point.
        module: Module that the entry point names.
        package: Distribution and version, as pip calls them.
        error: Why it could not be imported; empty where it was.
    """

    name: str
    module: str
    package: str
    error: str = ''


class _Loading:
    """What was loaded in this process, and by which thread it is being loaded."""

    lock = threading.RLock()
    running = False
    done: tuple[Plugin, ...] | None = None


def load_plugins() -> tuple[Plugin, ...]:
    """Import all installed plugins, once in a process; called by every search in a registry.

    A plugin that cannot be imported is named in a warning and left out, the others are loaded all the same.

    Returns:
        The plugins, broken ones with their error; none while they are being loaded.

    Raises:
        ConfigError: If ``MMACTCLR_PLUGINS`` is neither ``on`` nor ``off``.
    """
    with _Loading.lock:
        if _Loading.done is None and not _Loading.running:
            _Loading.running = True
            try:
                _Loading.done = tuple(_load(point) for point in find_plugins())
            finally:
                _Loading.running = False
        return _Loading.done or ()


def plugin_configs() -> dict[str, Path]:
    """Folder of the configs of each plugin, by import package; finds them without importing a plugin.

    Raises:
        ConfigError: If ``MMACTCLR_PLUGINS`` is neither ``on`` nor ``off``.
    """
    found = {}
    for package in dict.fromkeys(point.module.partition('.')[0] for point in find_plugins()):
        spec = find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            folder = Path(location) / CONFIGS
            if folder.is_dir():
                found[package] = folder
    return found


def describe_broken() -> str:
    """Half a sentence on every plugin that was left out, for errors about names that nothing registered."""
    return ''.join(f'; {plugin.error}' for plugin in load_plugins() if plugin.error)


def find_plugins() -> tuple[EntryPoint, ...]:
    """Entry points of the installed plugins, of which none is imported; none where they are left out.

    Raises:
        ConfigError: If ``MMACTCLR_PLUGINS`` is neither ``on`` nor ``off``.
    """
    switch = os.environ.get(SWITCH, 'on').lower()
    if switch not in ('on', 'off'):
        raise ConfigError(f'the environment variable {SWITCH} is {os.environ[SWITCH]!r}, expected on or off')
    return () if switch == 'off' else _installed()


@cache
def _installed() -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)))


def _load(point: EntryPoint) -> Plugin:
    package = f'{point.dist.name} {point.dist.version}' if point.dist else 'a package without metadata'
    try:
        point.load()
    except (Exception, SystemExit) as error:  # whatever the module of somebody else raises
        last = traceback.extract_tb(error.__traceback__)[-1]
        message = (f'plugin {point.name!r} of {package} (entry point {GROUP}: {point.name} = {point.value}) could not '
                   f'be loaded: {type(error).__name__}: {" ".join(str(error).split())} '
                   f'({Path(last.filename).name}:{last.lineno}). What it adds is missing; repair it '
                   f"(python -c 'import {point.module}' shows more), uninstall it, or leave all plugins out: "
                   f'{SWITCH}=off')
        logging.getLogger('mmactclr').warning('warning: %s', message)
        return Plugin(point.name, point.module, package, message)
    return Plugin(point.name, point.module, package)
