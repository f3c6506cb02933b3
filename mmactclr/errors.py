"""Errors that a user can act on.

Every message names the file or field, what was found, what was expected and what to do.
"""
import difflib
import fnmatch
import re
from collections.abc import Iterable


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


def near_names(word: str, known: Iterable[str]) -> list[str]:
    """Up to three names that a word may stand for, nearest first; case and underscores do not count.

    A name that begins with the word is near as well.
    """
    names = dict.fromkeys(known)
    wanted = _bare(word)
    near = [name for name in names if _bare(name) == wanted]
    if len(wanted) > 2:
        near += sorted((name for name in names if _bare(name).startswith(wanted)), key=len)
    for bare in difflib.get_close_matches(wanted, {_bare(name) for name in names}, n=3):
        near += [name for name in names if _bare(name) == bare]
    return list(dict.fromkeys(near))[:3]


def near_patterns(pattern: str, known: Iterable[str]) -> list[str]:
    """Up to three names, or one pattern that matches some, that a pattern of file names without a match may stand for.

    Its words, between hyphens, underscores and wildcards, are put right one by one: of ``actcrl*utdmahd*`` comes
    ``actclr*utdmhad*``. Where that alone matches nothing, it may be the beginning of names.
    """
    names = list(dict.fromkeys(known))
    literal = not set('*?[') & set(pattern)
    near = near_names(pattern, names) if literal else []
    if near or '[' in pattern:
        return near
    words = {word.casefold(): word for name in names for word in re.split('[-_]', name)}

    def righted(word: re.Match[str]) -> str:
        close = difflib.get_close_matches(word[0].casefold(), words, n=1)
        return words[close[0]] if close else word[0]

    right = re.sub(r'[^-_*?]+', righted, pattern)
    for wider in (right, f'{right}*', f'*{right}*'):
        if any(fnmatch.fnmatchcase(name, wider) for name in names):
            return [wider]
    return near_names(pattern.strip('*'), names)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean A or B? `` for a word that may stand for a known name, else nothing."""
    near = near_names(word, known)
    return f'did you mean {" or ".join(near)}? ' if near else ''


def _bare(name: str) -> str:
    return name.casefold().replace('_', '').replace('-', '')
