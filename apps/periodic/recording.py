"""Runs of periodic jobs: one at a time, each recorded, each item on its own.

@shared_task(name="periodic.sweep_things")
@recorded("sweep_things")
def sweep_things(run: Run) -> None:
    run.each(find_due(), look_at, name="thing")
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import F
from django.utils import timezone

from apps.enqueue import advisory_lock
from apps.errors import OrchestratorError
from apps.periodic.models import Outcome, PeriodicJob

logger = logging.getLogger(__name__)

MAX_ERRORS: Final = 20
_MESSAGE_CHARACTERS: Final = 300

T = TypeVar("T")
Job = Callable[[], None]


class Run:
    """What one run did, and what went wrong in it."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.counts: Counter[str] = Counter()
        self.errors: list[dict[str, str]] = []
        self.failed = 0

    def count(self, what: str, times: int = 1) -> None:
        """Add to a figure of the record; naming it with 0 says that there was nothing of it."""
        self.counts[what] += times

    def fail(self, item: str, error: Exception | str) -> None:
        """Record that one item failed.

        Args:
            item: which, in words that an operator finds again.
            error: a refusal of ours is told as it is; of any other only its kind, for it may quote anything.

        """
        self.failed += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append({"item": item[:_MESSAGE_CHARACTERS], "error": _words(error)})

    @contextmanager
    def item(self, name: str) -> Iterator[None]:
        """Shelter the rest of the run from what goes wrong in this block."""
        try:
            yield
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            logger.exception("%s: %s failed", self.job, name)
            self.fail(name, error)

    def each(self, items: Iterable[T], act: Callable[[T], object], *, name: str) -> None:
        """Do something with every item; one that fails is recorded and stops nobody else.

        Args:
            items: what to act on; that they cannot be listed is a failure of this part alone.
            act: called with each.
            name: what one of them is called; also names the figure.

        """
        self.count(name, 0)
        with self.item(name):
            for item in items:
                with self.item(f"{name} {item}"):
                    act(item)
                    self.count(name)


Body = Callable[[Run], None]


def recorded(name: str, *, pause_seconds: float = 0.0) -> Callable[[Body], Job]:
    """Make a function the body of a periodic job.

    Args:
        name: of the job; the same everywhere it is shown.
        pause_seconds: a run that began less than so long ago stands for this one, too: ticks that
            piled up before a busy or absent process do not run one after the other.

    """

    def decorate(body: Body) -> Job:
        def job() -> None:
            run_job(name, body, pause_seconds=pause_seconds)

        # Not functools.wraps: Celery and its readers would see the body's argument.
        for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(job, attribute, getattr(body, attribute))
        return job

    return decorate


def run_job(name: str, body: Body, *, pause_seconds: float = 0.0) -> bool:
    """Run a job unless a run of it is under way or has just begun; returns whether it ran."""
    with advisory_lock("periodic", name, patience_seconds=0) as obtained:
        if not (obtained and _claim(name, pause_seconds)):
            PeriodicJob.objects.filter(name=name).update(overlaps=F("overlaps") + 1)
            return False
        run, began = Run(name), time.monotonic()
        outcome: str = Outcome.CRASHED
        try:
            body(run)
            outcome = Outcome.PARTLY if run.failed else Outcome.SUCCEEDED
        except Exception as error:
            run.fail("", error)
            raise
        finally:
            _finish(run, outcome, time.monotonic() - began)
    return True


def _claim(name: str, pause_seconds: float) -> bool:
    row, _ = PeriodicJob.objects.get_or_create(name=name)
    now = timezone.now()
    if row.last_started_at and now - timedelta(seconds=pause_seconds) < row.last_started_at <= now:
        return False
    changes: dict[str, Any] = {"last_started_at": now}
    began, ended = row.last_started_at, row.last_finished_at
    if began and (ended is None or ended < began):
        # Nobody else holds the lock, so whoever began has died.
        died = {"item": "", "error": f"The process died in the run of {began:%Y-%m-%d %H:%M:%S} UTC."}
        changes |= {"last_errors": [died], "last_error_at": now}
        changes["failures_in_a_row"] = F("failures_in_a_row") + 1
    PeriodicJob.objects.filter(pk=row.pk).update(**changes)
    return True


def _finish(run: Run, outcome: str, seconds: float) -> None:
    now = timezone.now()
    changes: dict[str, Any] = {
        "last_finished_at": now,
        "last_seconds": round(seconds, 3),
        "last_outcome": outcome,
        "last_counts": dict(run.counts) | ({"failed": run.failed} if run.failed else {}),
        "runs": F("runs") + 1,
        "failures_in_a_row": F("failures_in_a_row") + 1 if run.failed else 0,
    }
    if run.failed:
        changes |= {"last_errors": run.errors, "last_error_at": now}
    PeriodicJob.objects.filter(name=run.job).update(**changes)


def _words(error: Exception | str) -> str:
    if isinstance(error, str):
        return error[:_MESSAGE_CHARACTERS]
    if isinstance(error, OrchestratorError):
        return f"{error.error_code}: {error.message}"[:_MESSAGE_CHARACTERS]
    return type(error).__name__
