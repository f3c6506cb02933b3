"""Recordings that two files make up together."""
import zlib
from dataclasses import dataclass, field

from .source_files import SourceFile


@dataclass(frozen=True)
class PairedFile(SourceFile):
    """A file that is read together with another one.

    Attributes:
        partner: The other file.
    """

    partner: SourceFile = field(kw_only=True)

    @classmethod
    def of(cls, file: SourceFile, partner: SourceFile) -> 'PairedFile':
        """Pairs two files; the pair's stamp differs when either of them was replaced."""
        both = repr((file.stamp, str(partner), partner.size, partner.stamp))
        return cls(file.path, file.member, file.size, zlib.crc32(both.encode()), partner=partner)
