"""What servers say of their archives, and what it means."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.infra.drill_reading import DrillLimits, DrillReport, judge_drill, read_report
from apps.infra.models import DrillOutcome

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIMITS = DrillLimits(archive=timedelta(hours=36), drill=timedelta(hours=72))
RESTORED = {"outcome": "restored", "archive": "20261123T021700Z.tar.gz", "made_at": 1_795_400_000, "files": 3}


def said(**projects: Any) -> str:
    return json.dumps({"projects": projects})


@pytest.mark.parametrize(
    ("projects", "outcome"),
    [
        ({}, "empty"),
        ({"books": {"outcome": "nothing"}}, "empty"),
        ({"books": RESTORED}, "passed"),
        ({"books": RESTORED, "notes": {"outcome": "nothing"}}, "passed"),
        ({"books": RESTORED, "notes": {"outcome": "mismatch"}}, "failed"),
        ({"books": {"outcome": "failed", "error": "No room"}}, "failed"),
    ],
)
def test_one_project_that_is_not_restored_fails_the_drill(projects: dict[str, Any], outcome: str) -> None:
    report = read_report(said(**projects))

    assert report is not None
    assert report.outcome == outcome


def test_the_oldest_of_the_newest_archives_counts() -> None:
    older = {**RESTORED, "made_at": RESTORED["made_at"] - 90_000}

    report = read_report(said(books=RESTORED, notes=older))

    assert report is not None
    assert report.oldest_archive_at == datetime.fromtimestamp(older["made_at"], UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("", "absent", "[]", "{}", '{"projects": 7}', '{"projects": {"books": {"outcome": "well"}}}'),
        *('{"projects": {"books": []}}', '{"projects": {"books": {"outcome": "restored", "made_at": "x"}}}'),
        *("[" * 100_000, said(books=RESTORED)[:-3]),
    ],
)
def test_words_that_nobody_understands_are_no_report(text: str) -> None:
    assert read_report(text) is None


def test_what_a_server_may_say_is_bounded() -> None:
    huge = {**RESTORED, "outcome": "failed", "error": "x" * 10_000, "made_at": 10**300}

    report = read_report(said(**{"../etc": RESTORED, **{f"p{number}": huge for number in range(900)}}))

    assert report is not None
    assert (len(report.projects), "../etc" in report.projects, len(report.error)) == (500, False, 300)
    assert len(report.projects["p0"]["error"]) == 300


def test_an_age_that_cannot_be_is_very_old() -> None:
    report = read_report(said(books={**RESTORED, "made_at": 10**15}))

    assert report is not None
    assert report.oldest_archive_at == datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize(
    ("outcome", "drilled", "archived", "set_up", "wrong"),
    [
        ("passed", 1, 10, 500, set()),
        ("empty", 1, None, 500, set()),
        ("failed", 1, 10, 500, {"backup_drill_failed"}),
        ("passed", 1, 40, 500, {"backups_old"}),
        # The archive was young when it was tried: what was made since nobody knows yet.
        ("passed", 20, 45, 500, set()),
        ("passed", 80, 90, 500, {"backups_old"}),
        (None, None, None, 10, set()),
        (None, None, None, 80, {"backups_old"}),
    ],
)
def test_failures_and_age_are_told_apart(
    outcome: str | None, drilled: int | None, archived: int | None, set_up: int, wrong: set[str]
) -> None:
    def ago(hours: int | None) -> datetime | None:
        return None if hours is None else NOW - timedelta(hours=hours)

    report = DrillReport(outcome=DrillOutcome(outcome), oldest_archive_at=ago(archived)) if outcome else None

    findings = judge_drill(
        report, drilled_at=ago(drilled), since=NOW - timedelta(hours=set_up), now=NOW, limits=LIMITS
    )

    assert {finding.kind for finding in findings if finding.is_wrong} == wrong


def test_one_that_was_never_tried_is_not_said_to_be_well() -> None:
    findings = judge_drill(None, drilled_at=None, since=NOW, now=NOW, limits=LIMITS)

    assert [finding.is_wrong for finding in findings] == [None, False]
