"""Archives on servers are restored on trial; what that came to is a row, and what is wrong an incident."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.infra import health, incidents
from apps.infra.drill_reading import DrillLimits, DrillReport, judge_drill, read_report
from apps.infra.health_looking import Answer, Subject, ask_all
from apps.infra.models import DrillOutcome, Server, ServerDrill, ServerKind, ServerStatus
from apps.periodic.recording import Run

_ABSENT: Final = "absent"
COMMAND: Final = f"""
PATH="$PATH:/usr/local/sbin"
command -v codegen-backup >/dev/null || {{ echo {_ABSENT}; exit 0; }}
[ "$(id -u)" = 0 ] && exec codegen-backup drill
exec sudo -n codegen-backup drill
"""
_AT_ONCE: Final = 4
#: Nobody is begun with after this; set-ups wait behind us.
_BEGIN_SECONDS: Final = 240


def drill_servers(run: Run) -> None:
    """Have every server whose last drill is a while ago restore its archives on trial, and judge them all.

    Args:
        run: what is recorded of this.

    """
    for figure in ("due", "drilled", "failed_drills"):
        run.count(figure, 0)
    before = timezone.now() - timedelta(hours=settings.SERVERS_DRILL_HOURS)
    due = _set_up().filter(Q(drill=None) | Q(drill__drilled_at__lt=before))
    servers = {row.pk: row for row in due.order_by("drill__drilled_at", "pk").defer("admin_password")}
    run.count("due", len(servers))
    subjects, until = health.subjects_of(servers), time.monotonic() + _BEGIN_SECONDS
    for at in range(0, len(subjects), _AT_ONCE):
        if time.monotonic() > until:
            break
        for answer in _ask(subjects[at : at + _AT_ONCE]):
            with run.item(servers[answer.server_id].name):
                _write_down(servers[answer.server_id], answer, run)
    for row in _set_up().select_related("drill").defer("admin_password"):
        with run.item(row.name):
            _judge(row)


def _set_up() -> QuerySet[Server]:
    """Return the servers that we have set up and that should answer."""
    rows = Server.objects.filter(kind=ServerKind.SSH, status=ServerStatus.ACTIVE)
    return rows.exclude(provisioned_at=None).exclude(host_key="")


def _ask(subjects: Sequence[Subject]) -> Iterable[Answer]:
    return asyncio.run(ask_all(subjects, COMMAND, seconds=settings.SERVERS_DRILL_SECONDS))


def _write_down(row: Server, answer: Answer, run: Run) -> None:
    if answer.text is None:
        # Nothing is known; that there was no drill for too long is told by its age.
        run.fail(row.name, answer.error)
        return
    if answer.text.strip() == _ABSENT:
        words = "The program that archives is not on the server: set it up again."
        report: DrillReport | None = DrillReport(outcome=DrillOutcome.FAILED, error=words)
    else:
        report = read_report(answer.text)
    if report is None:
        report = DrillReport(outcome=DrillOutcome.FAILED, error="The program's answer cannot be understood.")
    ServerDrill.objects.update_or_create(
        server=row,
        defaults={
            "drilled_at": timezone.now(),
            "outcome": report.outcome,
            "projects": dict(report.projects),
            "oldest_archive_at": report.oldest_archive_at,
            "error": report.error,
        },
    )
    run.count("drilled")
    run.count("failed_drills", int(report.outcome == DrillOutcome.FAILED))


def _judge(row: Server) -> None:
    drill = getattr(row, "drill", None)
    report = None
    if drill is not None:
        outcome = DrillOutcome(drill.outcome)
        report = DrillReport(outcome=outcome, oldest_archive_at=drill.oldest_archive_at, error=drill.error)
    findings = judge_drill(
        report,
        drilled_at=drill.drilled_at if drill else None,
        since=row.provisioned_at or row.created_at,
        now=timezone.now(),
        limits=DrillLimits(
            archive=timedelta(hours=settings.SERVERS_ARCHIVE_MAX_HOURS),
            drill=timedelta(hours=settings.SERVERS_DRILL_MAX_HOURS),
        ),
    )
    for finding in findings:
        if finding.is_wrong:
            health.report_finding(row, finding)
        elif finding.is_wrong is False:
            incidents.resolve(kind=finding.kind, subject=f"server:{row.pk}")
