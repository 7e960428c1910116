"""Checks in real units: the same honest and dishonest commits that a worker may hand over."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apps.units import toolchain
from apps.units.supervisor import Units
from apps.workers import services
from apps.workers.channel import get_channel
from apps.workers.composition import Hands, container_spec
from apps.workers.models import Verification, VerificationStatus
from apps.workers.reconciler_orphans import remove_orphans
from apps.workers.reconciler_verifications import reconcile_verification
from apps.workers.runtime.base import Phase, RuntimeUnavailable
from apps.workers.runtime.process import ProcessRuntime
from tests.apps.workers.conftest import LIMITS
from tests.apps.workers.tiny_project import BASE, COMMANDS, PROTECTED, Change, make_change, stored
from tests.factories import make_sha, make_verification
from tests.fakes_runtime import FakeRuntime

pytestmark = [pytest.mark.service, pytest.mark.django_db]

Check = Callable[..., Verification]
TESTS = str(BASE["tests/test_app.py"])


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="verify-", dir="/tmp"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def units(place: Path) -> Iterator[Units]:
    result = Units(place / "units", cache=place / "cache")
    yield result
    for state in result.list_owned():
        result.remove(state.name)


@pytest.fixture
def hands(units: Units, place: Path) -> Hands:
    runtime = ProcessRuntime(units, tools=toolchain.prepare(place / "bin"), outer={})
    return Hands(runtime=runtime, channel=get_channel(), limits=LIMITS, describe=container_spec)


def row_of(change: Change, **fields: Any) -> Verification:
    name, sha256 = stored(change)
    defaults = {
        "bundle_name": name,
        "bundle_sha256": sha256,
        "base_sha": change.base_sha,
        "head_sha": change.head_sha,
        "commands": COMMANDS,
        "protected": list(PROTECTED),
    }
    return make_verification(**{**defaults, **fields})


def drive(row: Verification, hands: Hands, *, seconds: float = 30) -> Verification:
    deadline = time.monotonic() + seconds
    while row.status not in Verification.final_statuses():
        assert time.monotonic() < deadline, f"still {row.status}"
        reconcile_verification(verification_id=row.pk, hands=hands)
        row.refresh_from_db()
        time.sleep(0.02)
    return row


@pytest.fixture
def check(place: Path, hands: Hands) -> Check:
    """Have a change of the tiny project checked to the end."""

    def run(files: dict[str, str | None], **fields: Any) -> Verification:
        return drive(row_of(make_change(place, files), **fields), hands)

    return run


def test_honest_change_passes_with_its_evidence(check: Check, hands: Hands) -> None:
    began = time.monotonic()
    row = check({"tests/test_more.py": "def test_more():\n    assert True\n"})

    assert row.failure is None
    assert row.status == VerificationStatus.SUCCEEDED
    assert row.evidence is not None
    assert (row.evidence["passed"], row.evidence["total"], row.evidence["failed"]) == (3, 3, 0)
    assert row.evidence["commit"] == row.head_sha
    assert row.removed_at is not None
    assert hands.runtime.list_owned() == []
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"app.py": "def add(a, b):\n    return 0\n"}, "checks_failed"),
        ({"app.py": "import nothing\n"}, "checks_failed"),
        ({"tests/test_app.py": None}, "tests_removed"),
        ({"tests/test_app.py": TESTS.replace("test_zero", "check_zero")}, "tests_removed"),
        ({"tests/test_app.py": TESTS + "\ntest_zero.skip = True\n"}, "tests_skipped"),
    ],
)
def test_dishonest_change_gets_its_own_failure(check: Check, files: dict[str, str | None], code: str) -> None:
    row = check(files)

    assert row.failure is not None
    assert (row.status, row.failure["code"], row.failure["kind"]) == ("failed", code, "product")
    assert row.attempts == 1


def test_test_that_the_base_skips_as_well_is_no_news(
    place: Path, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BASE, "tests/test_app.py", TESTS + "\ntest_zero.skip = True\n")
    change = make_change(place, {"app.py": "def add(a, b):\n    return b + a\n"})

    row = drive(row_of(change), hands)

    assert row.status == VerificationStatus.SUCCEEDED
    assert row.evidence is not None
    assert row.evidence["skipped"] == 1


def test_checks_of_the_base_are_the_ones_that_run(check: Check) -> None:
    row = check({"Makefile": "setup tests-list check:\n\t@echo tests/test_app.py::test_add\n"})

    assert row.evidence is not None
    assert row.evidence["restored_files"] == ["Makefile"]
    assert row.evidence["total"] == 2


def test_hanging_check_ends_at_the_deadline(place: Path, hands: Hands) -> None:
    change = make_change(place, {"app.py": "import time\n\ndef add(a, b):\n    time.sleep(600)\n"})
    quick = replace(hands, limits=replace(LIMITS, verification_seconds=4))

    row = drive(row_of(change), quick)

    assert row.failure is not None
    assert (row.status, row.failure["code"]) == ("failed", "checks_timeout")


def test_unit_that_hangs_itself_is_no_failure_of_the_work(place: Path, hands: Hands) -> None:
    stubborn = "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\n"
    change = make_change(place, {"app.py": "import os\nos.system('kill -STOP 0')\n" + stubborn})
    quick = replace(hands, limits=replace(LIMITS, verification_seconds=2))

    row = drive(row_of(change), quick)

    assert row.status in {"failed", "crashed"}
    assert row.failure is not None
    assert row.failure["code"] in {
        "checks_timeout",
        "checks_failed",
        "verification_timeout",
        "report_missing",
    }


def test_garbage_report_is_neither_pass_nor_failure(place: Path) -> None:
    runtime = FakeRuntime()
    hands = Hands(runtime=runtime, channel=get_channel(), limits=LIMITS, describe=container_spec)
    row = row_of(make_change(place, {"a": "b"}))

    for attempt in (1, 2):
        while not runtime.started[attempt - 1 : attempt]:
            reconcile_verification(verification_id=row.pk, hands=hands)
        name = f"verification-{row.pk}-{attempt}"
        runtime.write(name, "report.json", b'{"version": 1, "all": "fine"}')
        runtime.finish(name, 0)
        reconcile_verification(verification_id=row.pk, hands=hands)

    row.refresh_from_db()
    assert row.failure is not None
    assert (row.status, row.failure["code"], row.attempts) == ("crashed", "report_missing", 2)
    assert runtime.list_owned() == []


def test_lost_unit_is_tried_once_more(place: Path, hands: Hands, units: Units) -> None:
    change = make_change(place, {"tests/test_more.py": "def test_more():\n    pass\n"})
    row = row_of(change)
    for _ in range(2):
        reconcile_verification(verification_id=row.pk, hands=hands)
    row.refresh_from_db()
    units.remove(row.container_name)

    drive(row, hands)

    assert (row.status, row.attempts) == ("succeeded", 2)


def test_unit_that_was_made_but_never_started_is_started(place: Path) -> None:
    runtime = FakeRuntime()
    hands = Hands(runtime=runtime, channel=get_channel(), limits=LIMITS, describe=container_spec)
    row = row_of(make_change(place, {"tests/test_more.py": "def test_more():\n    pass\n"}))
    reconcile_verification(verification_id=row.pk, hands=hands)
    runtime.is_cut_off = True
    with pytest.raises(RuntimeUnavailable):
        reconcile_verification(verification_id=row.pk, hands=hands)

    reconcile_verification(verification_id=row.pk, hands=hands)

    row.refresh_from_db()
    state = runtime.inspect(row.container_name)
    assert state is not None
    assert (state.phase, row.attempts) == (Phase.RUNNING, 1)


def test_unit_that_can_never_be_started_again_is_replaced(place: Path) -> None:
    runtime = FakeRuntime()
    hands = Hands(runtime=runtime, channel=get_channel(), limits=LIMITS, describe=container_spec)
    row = row_of(make_change(place, {"tests/test_more.py": "def test_more():\n    pass\n"}))
    reconcile_verification(verification_id=row.pk, hands=hands)
    runtime.is_cut_off = True
    with pytest.raises(RuntimeUnavailable):
        reconcile_verification(verification_id=row.pk, hands=hands)
    runtime.is_unstartable = True

    reconcile_verification(verification_id=row.pk, hands=hands)
    reconcile_verification(verification_id=row.pk, hands=hands)

    row.refresh_from_db()
    assert row.attempts == 2
    assert [state.name for state in runtime.list_owned()] == [row.container_name]


def test_damaged_bundle_is_refused_before_anything_runs(place: Path, hands: Hands) -> None:
    row = row_of(make_change(place, {"a": "b"}), bundle_sha256="0" * 64)

    drive(row, hands)

    assert row.failure is not None
    assert (row.status, row.failure["code"]) == ("crashed", "bundle_damaged")


def test_commit_that_the_bundle_lacks_is_no_failure_of_the_work(place: Path, hands: Hands) -> None:
    row = row_of(make_change(place, {"a": "b"}), head_sha=make_sha())

    drive(row, hands)

    assert row.failure is not None
    assert (row.status, row.failure["code"]) == ("crashed", "head_missing")


def test_canceled_verification_leaves_no_unit(place: Path, hands: Hands) -> None:
    change = make_change(place, {"app.py": "import time\ntime.sleep(600)\n"})
    row = row_of(change)
    for _ in range(2):
        reconcile_verification(verification_id=row.pk, hands=hands)
    services.cancel_verification(verification_id=row.pk)

    reconcile_verification(verification_id=row.pk, hands=hands)

    row.refresh_from_db()
    assert row.status == VerificationStatus.CANCELED
    assert hands.runtime.list_owned() == []


def test_checks_see_no_secret(place: Path, hands: Hands) -> None:
    spy = "import os\n\ndef test_spy():\n    print(dict(os.environ))\n    assert False\n"
    row = row_of(make_change(place, {"tests/test_spy.py": spy}))

    drive(row, hands)

    assert "DATABASE_URL" not in row.log_tail
    assert "SECRET_KEY" not in row.log_tail
    assert "WORKER_TOKEN" not in row.log_tail
    assert "PATH" in row.log_tail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a unit a uid of its own")
def test_checks_run_under_a_uid_of_their_own(place: Path, hands: Hands) -> None:
    spy = "import os\n\ndef test_spy():\n    print('uid', os.getuid())\n    assert False\n"
    row = row_of(make_change(place, {"tests/test_spy.py": spy}))

    drive(row, hands)

    assert "uid 0" not in row.log_tail
    assert "uid " in row.log_tail


def test_superseded_attempt_is_an_orphan(place: Path, hands: Hands) -> None:
    change = make_change(place, {"app.py": "import time\ntime.sleep(600)\n"})
    row = row_of(change)
    for _ in range(2):
        reconcile_verification(verification_id=row.pk, hands=hands)
    Verification.objects.filter(pk=row.pk).update(attempts=2)

    removed = remove_orphans(hands=hands)

    assert removed == 1
    assert hands.runtime.list_owned() == []
