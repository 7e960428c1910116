"""How the admin shows a link, a log, a failure, a duration and a JSON record; pure but for URL names."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from apps.lifecycle import Lifecycle

NOTHING: Final = "–"
SHORT_ID: Final = 8
SHORT_SHA: Final = 12
MAX_DEPTH: Final = 5
MAX_ITEMS: Final = 500
MAX_BEGINNING: Final = 100
_MINUTE: Final = 60

#: The color of every status of every model; None is neutral.
STATUS_COLORS: dict[str, str | None] = {
    **dict.fromkeys(["succeeded", "active", "live", "merged", "replayed", "answered", "ready"], "success"),
    **dict.fromkeys(["failed", "crashed", "refused", "unreachable", "missing", "stalled"], "danger"),
    **dict.fromkeys(["canceling", "stopping", "paused", "maintenance", "expired"], "warning"),
    **dict.fromkeys(["waiting_human"], "warning"),
    **dict.fromkeys(["running", "scaffolding", "building", "starting", "installing"], "info"),
    **dict.fromkeys(["merging", "open", "provisioning", "waiting", "thinking", "tool_running"], "info"),
    **dict.fromkeys(["proposed", "dispatching"], "info"),
    **dict.fromkeys(["pending", "draft", "archived", "canceled", "stopped", "discarded"]),
    **dict.fromkeys(["discovered", "pending_setup", "decommissioned", "withdrawn"]),
    **dict.fromkeys(["sent", "stored", "resolved", "installed"], "success"),
    **dict.fromkeys(["blocked", "dropped"], "warning"),
    **dict.fromkeys(["asked", "sending"], "info"),
    **dict.fromkeys(["stranger", "gone", "superseded", "candidate", "retired", "empty"]),
    **dict.fromkeys(["partly"], "warning"),
    **dict.fromkeys(["listed", "passed"], "success"),
}


def link(page: str, pk: Any, text: str | None = None) -> str:
    """Link to the page of a row.

    Args:
        page: application and model as in the admin's URL names, ``projects_task``.
        pk: the row's key; without one there is nothing to link to.
        text: what to show, else the beginning of the key.

    """
    if not pk:
        return NOTHING
    address = reverse(f"admin:{page}_change", args=[pk])
    return format_html('<a class="text-link" href="{}">{}</a>', address, text or str(pk)[:SHORT_ID])


def outside_link(url: str) -> str:
    """Link to a page outside the admin; what is no web address is shown as plain text."""
    if urlsplit(url).scheme not in ("http", "https"):
        return url or NOTHING
    html = '<a class="text-link" href="{}" target="_blank" rel="noopener noreferrer">{}</a>'
    return format_html(html, url, url)


def sha(value: str) -> str:
    """Show the beginning of a commit's or a file's hash; the whole is in its title."""
    if not value:
        return NOTHING
    return format_html('<code class="orch-code" title="{}">{}</code>', value, value[:SHORT_SHA])


def code(value: str) -> str:
    """Show a command, a branch or another exact word."""
    return format_html('<code class="orch-code">{}</code>', value) if value else NOTHING


def text_block(value: str) -> str:
    """Show a text of several lines as it was written."""
    return format_html('<pre class="orch-log orch-prose">{}</pre>', value) if value.strip() else NOTHING


def log(value: str) -> str:
    """Show the end of a log with its lines as they were."""
    return format_html('<pre class="orch-log">{}</pre>', value) if value.strip() else NOTHING


def failure(record: Mapping[str, Any] | None) -> str:
    """Show a failure record as a box: what, where, whose move, its code."""
    if not record:
        return NOTHING
    return render_to_string("orchestrator/admin/failure.html", {"failure": record})


def failure_word(record: Mapping[str, Any] | None) -> str:
    """Show a failure in a list: only its code."""
    return code(str(record.get("code", ""))) if record else NOTHING


def seconds(value: float | None) -> str:
    """Show a duration in seconds as a person would say it."""
    if value is None:
        return NOTHING
    if value < _MINUTE:
        return _("%(seconds)s s") % {"seconds": f"{value:.2f}" if value < 1 else f"{value:.1f}"}
    minutes, rest = divmod(round(value), _MINUTE)
    return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": f"{rest:02d}"}


def between(first: datetime | None, last: datetime | None) -> str:
    """Show the time between two moments; unknown when one of them is."""
    return seconds((last - first).total_seconds()) if first and last else NOTHING


def moment(value: datetime | None) -> str:
    """Show a moment in the reader's format."""
    if value is None:
        return NOTHING
    return date_format(timezone.localtime(value), "SHORT_DATETIME_FORMAT")


def size(value: int) -> str:
    """Show a number of bytes as a person would say it."""
    return filesizeformat(value)


def bar(part: float, whole: float) -> str:
    """Draw a share of something as a bar."""
    percent = round(100 * min(1.0, part / whole)) if whole else 0
    html = '<span class="orch-bar" role="img" aria-label="{}%"><span style="width: {}%"></span></span>'
    return format_html(html, percent, percent)


def beginning(value: str) -> str:
    """Show the beginning of a text on one line."""
    return Truncator(" ".join(value.split())).chars(MAX_BEGINNING)


def status(row: Lifecycle) -> str:
    """Draw the status of a row as a colored label."""
    return label(row.status, dict(row._meta.get_field("status").flatchoices).get(row.status, row.status))


def label(value: str, text: str) -> str:
    """Draw a status word as a colored label."""
    context = {"text": text, "type": STATUS_COLORS.get(value)}
    return mark_safe(render_to_string("unfold/helpers/label.html", context).strip())


def facts(value: Any, *, depth: int = 0) -> str:
    """Show a JSON record as nested tables, bounded in depth and length; everything is escaped."""
    if value in (None, "", [], {}):
        return NOTHING
    if depth >= MAX_DEPTH:
        return str(value)[:MAX_ITEMS]
    if isinstance(value, Mapping):
        return _record(value, depth)
    if isinstance(value, list):
        return _rows(value, depth)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, str) and "\n" in value.strip():
        return log(value)
    return str(value)


def _record(value: Mapping[str, Any], depth: int) -> SafeString:
    lines = [
        (str(name).replace("_", " "), facts(item, depth=depth + 1))
        for name, item in list(value.items())[:MAX_ITEMS]
    ]
    return _table(format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", lines))


def _rows(value: Sequence[Any], depth: int) -> SafeString:
    items = list(value)[:MAX_ITEMS]
    if not all(isinstance(item, Mapping) for item in items):
        shown = [(facts(item, depth=depth + 1),) for item in items]
        return format_html('<ul class="orch-list">{}</ul>', format_html_join("", "<li>{}</li>", shown))
    columns = list(dict.fromkeys(name for item in items for name in item))
    head = format_html_join("", "<th>{}</th>", [(str(name).replace("_", " "),) for name in columns])
    body = [
        (format_html_join("", "<td>{}</td>", [(facts(item.get(n), depth=depth + 1),) for n in columns]),)
        for item in items
    ]
    return _table(format_html("<tr>{}</tr>{}", head, format_html_join("", "<tr>{}</tr>", body)))


def _table(rows: SafeString) -> SafeString:
    return format_html('<div class="orch-scroll"><table class="orch-facts">{}</table></div>', rows)
