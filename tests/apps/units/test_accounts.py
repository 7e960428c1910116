import json
import os
import threading

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
def root(tmp_path):
    (tmp_path / layout.UNITS).mkdir()
    return tmp_path


def age(root) -> None:
    """Let every account be older than anything that might still be starting."""
    entries = json.loads((root / "accounts.json").read_text())
    for entry in entries.values():
        entry["since"] = 0
    (root / "accounts.json").write_text(json.dumps(entries))


def test_account_keeps_its_uid(root):
    first = Accounts(root, UIDS).uid_for("alice")

    Accounts(root, UIDS).uid_for("bob")

    assert Accounts(root, UIDS).uid_for("alice") == first


def test_accounts_racing_for_uids_never_share_one(root):
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda name=name: found.append(Accounts(root, range(64800, 64900)).uid_for(name))
        )
        for name in (f"account-{number}" for number in range(20))
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 20


def test_uid_is_reused_only_when_nothing_refers_to_it(root):
    accounts = Accounts(root, UIDS)
    with_unit, with_path, unused = (accounts.uid_for(name) for name in ("unit", "path", "unused"))
    (root / layout.UNITS / "some").mkdir()
    layout.write_json(str(root / layout.UNITS / "some"), layout.SPEC, {"account": "unit"})
    (root / "data").mkdir()
    accounts.uid_for("path", owns=root / "data")
    age(root)

    fresh = accounts.uid_for("fresh")

    assert fresh == unused
    assert (accounts.uid_for("unit"), accounts.uid_for("path")) == (with_unit, with_path)


def test_fresh_accounts_are_not_forgotten(root):
    accounts = Accounts(root, UIDS)
    for name in ("one", "two", "three"):
        accounts.uid_for(name)

    with pytest.raises(UnitsUnavailable):
        accounts.uid_for("four")


def test_impossible_account_is_refused(root):
    with pytest.raises(UnitInvalid):
        Accounts(root, UIDS).uid_for("../etc")
