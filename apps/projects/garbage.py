"""Deletes what nobody needs any more: stored bundles, temporary directories, answers kept for repeats."""

import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from apps import storage
from apps.projects.models import IdempotencyRecord

logger = logging.getLogger(__name__)

UNUSED_FOR: Final = timedelta(days=7)
_SCRATCH_LIFETIME: Final = timedelta(days=1)
#: Nobody repeats a request after so long; from then on its key would be a new request.
ANSWERS_KEPT_FOR: Final = timedelta(days=7)


def collect(*, scratch: Path, now: datetime) -> list[str]:
    """Delete bundles that were unused for a week, answers as old, and temporary directories older than a day.

    Args:
        scratch: where this app's temporary directories are made.
        now: the present time.

    Returns:
        The names of the deleted bundles.

    """
    for path in scratch.glob("*") if scratch.is_dir() else ():
        age = now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if age > _SCRATCH_LIFETIME:
            shutil.rmtree(path, ignore_errors=True)
    forgotten, _ = IdempotencyRecord.objects.filter(created_at__lt=now - ANSWERS_KEPT_FOR).delete()
    removed = storage.collect_garbage(unused_for=UNUSED_FOR, now=now)
    logger.info("Collected %s bundles and %s answers", len(removed), forgotten)
    return removed
