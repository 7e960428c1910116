"""What a server's page tells of its archives: whether they could be restored, and when that was tried."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import Section
from apps.infra.models import Server, ServerDrill


def archives_of(server: Server) -> Section:
    """Show the last drill, and each project's newest archive; never tried is not the same as well."""
    drill = ServerDrill.objects.filter(server=server).first()
    return Section(
        title=_("Archives, restored on trial"),
        headers=(_("Project"), _("Result"), _("Archive"), _("Size"), _("When")),
        rows=list(_rows(drill)),
    )


def _rows(drill: ServerDrill | None) -> Iterator[tuple[Any, ...]]:
    if drill is None:
        yield (_("All"), display.label("pending", str(_("Never tried"))), *(display.NOTHING,) * 3)
        return
    age = timezone.now() - drill.drilled_at
    outcome = (drill.outcome, str(drill.get_outcome_display()))
    if age.total_seconds() > settings.SERVERS_DRILL_MAX_HOURS * 3_600:
        outcome = ("missing", str(_("Too old")))
    words = drill.error or display.NOTHING
    yield _("All"), display.label(*outcome), words, display.NOTHING, display.moment(drill.drilled_at)
    for name, each in drill.projects.items():
        made = datetime.fromtimestamp(each["made_at"], UTC) if each["made_at"] else None
        size = display.size(each["bytes"]) if each["archive"] else display.NOTHING
        told = each["archive"] or each["error"] or display.NOTHING
        yield name, _outcome(each["outcome"]), told, size, display.moment(made)


def _outcome(word: str) -> str:
    words = {
        "restored": ("passed", _("Passed")),
        "nothing": ("empty", _("Nothing to archive")),
        "mismatch": ("failed", _("Restored to something else")),
    }
    color, text = words.get(word, ("failed", _("Failed")))
    return display.label(color, str(text))
