"""How much of the disk a worker's files take."""

import os
from collections.abc import Iterable
from pathlib import Path

BLOCK_BYTES = 512
MAX_ENTRIES = 200_000
"""Files beyond these are not looked at: a look takes seconds at most."""


def used_bytes(directories: Iterable[Path], *, max_entries: int = MAX_ENTRIES) -> int:
    """Return the bytes that the files below directories take on their disks; links are not followed.

    Args:
        directories: where to look; one that is missing or unreadable takes nothing.
        max_entries: after how many files the count ends.

    """
    waiting, total, seen = [str(directory) for directory in directories], 0, 0
    while waiting and seen < max_entries:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    total += _size(entry)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue
    return total


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * BLOCK_BYTES
    except OSError:
        return 0
