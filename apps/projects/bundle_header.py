"""Reads the header of a git bundle (format 2 and 3) without git: what it requires and what it offers."""

import re
from dataclasses import dataclass
from typing import BinaryIO, Final

from apps.projects.bundle_errors import BundleMalformed

_MAX_LINE_BYTES: Final = 1_024
_MAX_LINES: Final = 256
_SIGNATURES: Final = {b"# v2 git bundle\n": 2, b"# v3 git bundle\n": 3}
_PREREQUISITE = re.compile(rb"-([0-9a-f]{40})( [^\n]*)?\n")
_REF = re.compile(rb"([0-9a-f]{40}) (HEAD|refs/[A-Za-z0-9][A-Za-z0-9._/-]*)\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleHeader:
    """What stands before the pack."""

    version: int
    prerequisites: tuple[str, ...]  # commits the receiver must have
    refs: dict[str, str]  # names offered, and their commits
    pack_offset: int  # bytes from the beginning of the file
    pack_objects: int  # how many the pack claims to hold


def read_header(stream: BinaryIO) -> BundleHeader:
    """Read the header from the beginning of a bundle; the stream is left at the pack.

    Raises:
        BundleMalformed: it is not a header that git writes for an ordinary (SHA-1, unfiltered) bundle.

    """
    version = _SIGNATURES.get(stream.readline(_MAX_LINE_BYTES))
    if version is None:
        raise BundleMalformed("This is not a git bundle", details={"part": "signature"})
    prerequisites: list[str] = []
    refs: dict[str, str] = {}
    for _ in range(_MAX_LINES):
        line = stream.readline(_MAX_LINE_BYTES)
        if line == b"\n":
            break
        _read_line(line, version, prerequisites, refs)
    else:
        raise BundleMalformed("The bundle's header is too long", details={"part": "header"})
    offset = stream.tell()
    objects = _read_pack_head(stream.read(12))
    stream.seek(offset)
    return BundleHeader(
        version=version,
        prerequisites=tuple(prerequisites),
        refs=refs,
        pack_offset=offset,
        pack_objects=objects,
    )


def _read_line(line: bytes, version: int, prerequisites: list[str], refs: dict[str, str]) -> None:
    if version == 3 and line == b"@object-format=sha1\n" and not prerequisites and not refs:
        return
    if (required := _PREREQUISITE.fullmatch(line)) and not refs:
        prerequisites.append(required[1].decode())
        return
    offered = _REF.fullmatch(line)
    if offered is None or offered[2].decode() in refs:
        raise BundleMalformed("The bundle's header cannot be read", details={"part": "header"})
    refs[offered[2].decode()] = offered[1].decode()


def _read_pack_head(head: bytes) -> int:
    if len(head) != 12 or head[:4] != b"PACK" or int.from_bytes(head[4:8], "big") not in (2, 3):
        raise BundleMalformed("The bundle holds no pack", details={"part": "pack"})
    return int.from_bytes(head[8:12], "big")
