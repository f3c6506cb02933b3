"""Errors that a user can act on.

Every message names the file or field, what was found, what was expected and what to do.
"""


class MMActCLRError(ValueError):
    """Base of all errors that bad input raises in this package."""


class DataError(MMActCLRError):
    """Motion data, an archive or a label is missing, damaged or out of range."""


class ConfigError(MMActCLRError):
    """A config asks for something that the data, the model or the hooks do not provide."""


class ExportError(MMActCLRError):
    """A model cannot be written in a format for deployment, or the file does not do what the model does."""


class RunError(MMActCLRError):
    """What a run stands on failed while it ran: a disk that is full or read-only, a process that was lost."""
