"""How many bytes a process's TCP connections have carried, from the kernel's socket diagnostics.

A model's answer arrives as a stream that may last minutes before the agent prints a word: its bytes are
the only early sign. The kernel tells them to any user for the sockets of its network namespace; where it
does not, nothing is known and nothing is claimed.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_INFO = 2
_INFO_BIT = 1 << (_INFO - 1)
_ESTABLISHED_BIT = 1 << 1
_UNREAD_AT, _INODE_AT = 56, 68
_ATTRIBUTES_AT = 72
_BYTES_AT = 120
"""Offset of `tcpi_bytes_acked` and, after it, `tcpi_bytes_received` in `struct tcp_info`."""
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_COUNTERS = struct.Struct("=QQ")
_READ_BYTES = 256 * 1024
_MAX_REPLIES = 64


def bytes_carried(pids: Iterable[int]) -> dict[int, int] | None:
    """Return the bytes that went both ways over each open connection of the processes.

    Args:
        pids: whose connections.

    Returns:
        Inode of the socket -> bytes; None where the kernel does not tell.

    """
    own = {inode for pid in pids for inode in _sockets_of(pid)}
    if not own:
        return {}
    try:
        found = {
            inode: count for family in (socket.AF_INET, socket.AF_INET6) for inode, count in _ask(family)
        }
    except (OSError, struct.error):
        return None
    return {inode: count for inode, count in found.items() if inode in own}


def _sockets_of(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if target.startswith("socket:["):
                    yield int(target[8:-1])


def _ask(family: int) -> Iterator[tuple[int, int]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as diag:
        diag.settimeout(1.0)
        body = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, _INFO_BIT, 0, _ESTABLISHED_BIT) + bytes(48)
        diag.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + body)
        for _ in range(_MAX_REPLIES):
            reply, at = diag.recv(_READ_BYTES), 0
            while at < len(reply):
                length, kind, *_ = _HEADER.unpack_from(reply, at)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError("the kernel refuses to tell about sockets")
                yield from _read_one(reply[at + _HEADER.size : at + length])
                at += _aligned(length)


def _read_one(message: bytes) -> Iterator[tuple[int, int]]:
    (unread,) = struct.unpack_from("=I", message, _UNREAD_AT)
    (inode,) = struct.unpack_from("=I", message, _INODE_AT)
    at = _ATTRIBUTES_AT
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _INFO and length >= _ATTRIBUTE.size + _BYTES_AT + _COUNTERS.size:
            # What the kernel holds for a process that does not read is no sign of the process.
            yield inode, sum(_COUNTERS.unpack_from(message, at + _ATTRIBUTE.size + _BYTES_AT)) - unread
        at += max(_aligned(length), _ATTRIBUTE.size)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
