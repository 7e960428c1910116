import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from apps.units import layout
from apps.units.accounts import Accounts
from apps.units.spec import UnitInvalid, UnitsUnavailable

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(os.geteuid() != 0, reason="there are accounts only for root"),
]

UIDS = range(64900, 64903)


@pytest.fixture
def make_root(tmp_path):
    def make(name: str) -> Path:
        (tmp_path / name / layout.UNITS).mkdir(parents=True)
        return tmp_path / name

    return make


@pytest.fixture
def root(make_root):
    return make_root("root")


@pytest.fixture
def open_accounts(tmp_path):
    """Open a root's accounts on a machine of the test's own."""
    return lambda root, uids=UIDS: Accounts(root, uids, machine=tmp_path / "machine")


def age(root) -> None:
    """Let every account be older than anything that might still be starting."""
    entries = json.loads((root / "accounts.json").read_text())
    for entry in entries.values():
        entry["since"] = 0
    (root / "accounts.json").write_text(json.dumps(entries))


def test_account_keeps_its_uid(root, open_accounts):
    first = open_accounts(root).uid_for("alice")

    open_accounts(root).uid_for("bob")

    assert open_accounts(root).uid_for("alice") == first


def test_accounts_racing_for_uids_never_share_one(root, open_accounts):
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda name=name: found.append(open_accounts(root, range(64800, 64900)).uid_for(name))
        )
        for name in (f"account-{number}" for number in range(20))
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 20


def test_uid_is_reused_only_when_nothing_refers_to_it(root, open_accounts):
    accounts = open_accounts(root)
    with_unit, with_path, unused = (accounts.uid_for(name) for name in ("unit", "path", "unused"))
    (root / layout.UNITS / "some").mkdir()
    layout.write_json(str(root / layout.UNITS / "some"), layout.SPEC, {"account": "unit"})
    (root / "data").mkdir()
    accounts.uid_for("path", owns=root / "data")
    age(root)

    fresh = accounts.uid_for("fresh")

    assert fresh == unused
    assert (accounts.uid_for("unit"), accounts.uid_for("path")) == (with_unit, with_path)


def test_fresh_accounts_are_not_forgotten(root, open_accounts):
    accounts = open_accounts(root)
    for name in ("one", "two", "three"):
        accounts.uid_for(name)

    with pytest.raises(UnitsUnavailable):
        accounts.uid_for("four")


def test_impossible_account_is_refused(root, open_accounts):
    with pytest.raises(UnitInvalid):
        open_accounts(root).uid_for("../etc")


def test_roots_of_one_machine_never_share_a_uid(make_root, open_accounts):
    uids = range(64700, 64720)
    first, second = (open_accounts(make_root(name), uids) for name in ("one", "two"))

    found = [accounts.uid_for(f"account-{number}") for number in range(5) for accounts in (first, second)]

    assert len(set(found)) == 10


def test_roots_racing_for_uids_never_share_one(make_root, open_accounts):
    found: list[int] = []
    roots = [make_root(str(number)) for number in range(4)]
    threads = [
        threading.Thread(
            target=lambda root=root, name=name: found.append(
                open_accounts(root, range(64700, 64800)).uid_for(name)
            )
        )
        for root in roots
        for name in ("a", "b", "c")
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 12


def test_uids_of_a_deleted_root_are_free_again(make_root, open_accounts):
    gone = make_root("gone")
    for name in ("a", "b", "c"):
        open_accounts(gone).uid_for(name)
    shutil.rmtree(gone)

    fresh = open_accounts(make_root("fresh")).uid_for("a")

    assert fresh == UIDS.start


def test_uid_that_still_runs_something_of_a_deleted_root_is_not_given_out(root, open_accounts):
    with subprocess.Popen(["sleep", "60"], user=UIDS.start, group=UIDS.start, extra_groups=()) as left:
        try:
            found = open_accounts(root).uid_for("a")
        finally:
            left.kill()

    assert found == UIDS.start + 1


def test_full_range_forgets_what_another_root_does_not_use(make_root, open_accounts):
    idle, busy = make_root("idle"), make_root("busy")
    for name in ("a", "b", "c"):
        open_accounts(idle).uid_for(name)
    age(idle)

    found = open_accounts(busy).uid_for("d")

    assert found in UIDS
    assert json.loads((idle / "accounts.json").read_text()) == {}


def test_same_root_by_another_way_is_the_same(root, open_accounts, tmp_path):
    (tmp_path / "link").symlink_to(root)
    first = open_accounts(root).uid_for("alice")

    second = open_accounts(tmp_path / "link").uid_for("alice")

    assert second == first
    assert json.loads((tmp_path / "machine" / "units.json").read_text()) == {"roots": [str(root)]}


def test_machine_whose_list_cannot_be_kept_is_a_clear_refusal(root, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(UnitsUnavailable, match="cannot keep the accounts"):
        Accounts(root, UIDS, machine=tmp_path / "file" / "machine").uid_for("a")
