"""Accounts: which uid belongs to whom when the control plane is root.

An account keeps its uid for as long as anything may refer to it: a unit's
directory, a path that was handed over to it, a process. Only when the range is
used up are accounts forgotten that nothing refers to any more. As an ordinary
user there are no accounts: every unit runs under our own uid, and nothing
separates it from us or from its neighbors.
"""

import contextlib
import fcntl
import json
import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apps.units import layout, processes
from apps.units.spec import UnitsUnavailable, check_name

#: First uid and number of uids; outside what distributions give to people and services.
UID_RANGE = range(64000, 65000)

#: A fresh account is not forgotten: its unit's directory may be about to be written.
_SETTLED_SECONDS = 3600.0

Entries = dict[str, dict[str, Any]]


class Accounts:
    """The registry of one root; safe to use from several processes at once.

    Args:
        root: the directory of the units.
        uids: what may be given out.
    """

    def __init__(self, root: Path, uids: range = UID_RANGE) -> None:
        self._root = root
        self._uids = uids
        self._active = os.geteuid() == 0

    def uid_for(self, account: str, *, owns: Path | None = None) -> int | None:
        """Return the account's uid, the same every time; None as an ordinary user.

        Args:
            account: any unit-like name.
            owns: a path outside the units' directories that keeps the account alive.

        Raises:
            UnitsUnavailable: every uid of the range is in use.
        """
        check_name(account)
        if not self._active:
            return None
        with self._registry() as entries:
            entry = entries.get(account)
            if entry is None:
                entry = entries[account] = {"uid": self._free_uid(entries), "paths": [], "since": time.time()}
            if owns is not None and str(owns) not in entry["paths"]:
                entry["paths"].append(str(owns))
            uid: int = entry["uid"]
            return uid

    def _free_uid(self, entries: Entries) -> int:
        for _ in range(2):
            taken = {entry["uid"] for entry in entries.values()}
            for uid in self._uids:
                if uid not in taken and not _is_a_persons(uid):
                    return uid
            self._forget_unused(entries)
        raise UnitsUnavailable(f"all {len(self._uids)} uids for units are in use; remove some units")

    def _forget_unused(self, entries: Entries) -> None:
        running = {processes.owner(found.pid) for found in processes.snapshot()}
        specs = [layout.read_json(entry.path, layout.SPEC) for entry in os.scandir(self._root / layout.UNITS)]
        referred = {spec["account"] for spec in specs if spec is not None}
        settled = time.time() - _SETTLED_SECONDS
        for account, entry in list(entries.items()):
            is_used = (
                account in referred or entry["uid"] in running or any(map(os.path.exists, entry["paths"]))
            )
            if not is_used and entry["since"] < settled:
                del entries[account]

    @contextlib.contextmanager
    def _registry(self) -> Iterator[Entries]:
        """Hold the registry alone; changes are written when the block ends without an error."""
        descriptor = os.open(self._root / "accounts.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            entries: Any = layout.read_json(str(self._root), "accounts.json") or {}
            before = json.dumps(entries)
            yield entries
            if json.dumps(entries) != before:
                layout.write_json(str(self._root), "accounts.json", entries)
        finally:
            os.close(descriptor)


def _is_a_persons(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
