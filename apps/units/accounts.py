"""Accounts: which uid belongs to whom when the control plane is root.

All state directories of a machine share one range, and no uid is given out
twice: whoever runs under the uid of a unit could read and kill it, and what a
unit leaves behind is found by its uid. Each directory keeps its own accounts;
the machine keeps one lock and the list of these directories.

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
from apps.units.shared import STATE_ROOT
from apps.units.spec import UnitsUnavailable, check_name

#: First uid and number of uids; outside what distributions give to people and services.
UID_RANGE = range(64000, 65000)

#: A fresh account is not forgotten: its unit's directory may be about to be written.
_SETTLED_SECONDS = 3600.0

#: In a directory of units: its accounts. In the machine's directory: the lock, and the directories of units.
_ACCOUNTS = "accounts.json"
_LOCK = "units.lock"
_ROOTS = "units.json"

Entries = dict[str, dict[str, Any]]


class Accounts:
    """The registry of one root; safe to use from several processes at once, and beside other roots.

    Args:
        root: the directory of the units.
        uids: what may be given out.
        machine: where the machine keeps the list of all roots.
    """

    def __init__(self, root: Path, uids: range = UID_RANGE, *, machine: Path = STATE_ROOT) -> None:
        self._root = os.path.realpath(root)
        self._uids = uids
        self._machine = machine
        self._active = os.geteuid() == 0

    def uid_for(self, account: str, *, owns: Path | None = None) -> int | None:
        """Return the account's uid, the same every time; None as an ordinary user.

        Args:
            account: any unit-like name.
            owns: a path outside the units' directories that keeps the account alive.

        Raises:
            UnitsUnavailable: every uid of the range is in use, or the list of roots cannot be kept.
        """
        check_name(account)
        if not self._active:
            return None
        try:
            with self._all_roots() as roots:
                return self._claim(account, owns, roots)
        except OSError as error:
            raise UnitsUnavailable(f"cannot keep the accounts of units: {error}") from error

    def _claim(self, account: str, owns: Path | None, roots: list[str]) -> int:
        entries = _read(self._root)
        before = json.dumps(entries)
        entry = entries.get(account)
        if entry is None:
            uid = self._find_free(roots)
            # Forgetting may have made room in this root too.
            entries = _read(self._root)
            entry = entries[account] = {"uid": uid, "paths": [], "since": time.time()}
        if owns is not None and str(owns) not in entry["paths"]:
            entry["paths"].append(str(owns))
        if json.dumps(entries) != before:
            layout.write_json(self._root, _ACCOUNTS, dict(entries))
        return int(entry["uid"])

    def _find_free(self, roots: list[str]) -> int:
        # A deleted root may have left processes that nobody lists any more.
        running = _running()
        for _ in range(2):
            taken = running | {entry["uid"] for root in roots for entry in _read(root).values()}
            for uid in self._uids:
                if uid not in taken and not _is_a_persons(uid):
                    return uid
            for root in roots:
                _forget_unused(root, running)
        raise UnitsUnavailable(f"all {len(self._uids)} uids for units are in use; remove some units")

    @contextlib.contextmanager
    def _all_roots(self) -> Iterator[list[str]]:
        """Hold every root's accounts alone; this root is in the list, deleted ones are not."""
        self._machine.mkdir(parents=True, exist_ok=True)
        self._machine.chmod(0o711)
        descriptor = os.open(self._machine / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            listed: Any = (layout.read_json(str(self._machine), _ROOTS) or {}).get("roots", [])
            others = [root for root in listed if root != self._root and os.path.exists(_file(root))]
            roots = sorted([*others, self._root])
            if roots != listed:
                layout.write_json(str(self._machine), _ROOTS, {"roots": roots})
            yield roots
        finally:
            os.close(descriptor)


def _file(root: str) -> str:
    return os.path.join(root, _ACCOUNTS)


def _read(root: str) -> Entries:
    entries: Any = layout.read_json(root, _ACCOUNTS)
    return entries or {}


def _running() -> set[int]:
    """Return the uids of all processes."""
    owners = (processes.owner(found.pid) for found in processes.snapshot())
    return {uid for uid in owners if uid is not None}


def _forget_unused(root: str, running: set[int]) -> None:
    """Forget the accounts of a root that nothing refers to."""
    entries = _read(root)
    directory = os.path.join(root, layout.UNITS)
    units = os.scandir(directory) if os.path.isdir(directory) else ()
    specs = [layout.read_json(entry.path, layout.SPEC) for entry in units]
    referred = {spec["account"] for spec in specs if spec is not None}
    settled = time.time() - _SETTLED_SECONDS

    def is_used(account: str, entry: dict[str, Any]) -> bool:
        is_referred = account in referred or any(map(os.path.exists, entry["paths"]))
        return is_referred or entry["uid"] in running or entry["since"] >= settled

    kept = {account: entry for account, entry in entries.items() if is_used(account, entry)}
    if kept != entries:
        layout.write_json(root, _ACCOUNTS, dict(kept))


def _is_a_persons(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
