"""What a server's page shows of its measurements: the last ones as a table, a day of them as charts."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps import admin_display as display
from apps.admin_base import Section
from apps.admin_charts import Chart, Point, draw, share
from apps.infra.models import ServerMetric

SHOWN: Final = timedelta(hours=24)
#: Longer than this without a measurement, and nobody knows.
SILENCE: Final = timedelta(minutes=15)
_MAX_POINTS: Final = 3_000
_NO_DATA: Final = _("no data")


def measurements(server: Any) -> list[ServerMetric]:
    """Return the measurements of the last day, oldest first; one query."""
    rows = ServerMetric.objects.filter(server=server, measured_at__gte=timezone.now() - SHOWN)
    return list(rows.order_by("-measured_at")[:_MAX_POINTS])[::-1]


def charts(rows: Sequence[ServerMetric]) -> list[Chart]:
    """Draw processor, memory and disk of the last day."""
    until = timezone.now()
    kinds = ((_("Processor"), _processor), (_("Memory"), _memory), (_("Disk"), _disk))
    return [
        draw(
            title,
            [Point(at=row.measured_at, percent=share(*measure(row))) for row in rows],
            since=until - SHOWN,
            until=until,
            gap=SILENCE,
        )
        for title, measure in kinds
    ]


def table(server: Any, rows: Sequence[ServerMetric]) -> Section:
    """Show what was measured last; unknown, or known no more, is not zero."""
    width = server.port_range_end - server.port_range_start + 1
    last = rows[-1] if rows and timezone.now() - rows[-1].measured_at <= SILENCE else None
    return Section(
        title=_("Measured"),
        headers=(_("What"), _("Value"), _("Share"), _("When")),
        rows=[
            (
                _("Ports in use"),
                f"{server.used_total} / {width}",
                display.bar(server.used_total, width),
                display.NOTHING,
            ),
            (_("Processor"), *_shown(last, _processor, "{:.2f} / {:.0f}")),
            (_("Memory"), *_shown(last, _memory, "{:.0f} / {:.0f} MB")),
            (_("Disk"), *_shown(last, _disk, "{:.0f} / {:.0f} MB")),
        ],
    )


def _shown(row: ServerMetric | None, measure: Any, form: str) -> tuple[Any, Any, Any]:
    used, whole = measure(row) if row else (None, None)
    if row is None or used is None or not whole:
        return _NO_DATA, display.NOTHING, display.NOTHING
    return form.format(used, whole), display.bar(used, whole), display.moment(row.measured_at)


def _processor(row: ServerMetric) -> tuple[float | None, float | None]:
    return row.load_1m, row.cpus


def _memory(row: ServerMetric) -> tuple[float | None, float | None]:
    return _used(row.memory_total_mb, row.memory_available_mb), row.memory_total_mb


def _disk(row: ServerMetric) -> tuple[float | None, float | None]:
    return _used(row.disk_total_mb, row.disk_free_mb), row.disk_total_mb


def _used(total: float | None, free: float | None) -> float | None:
    return None if total is None or free is None else total - free
