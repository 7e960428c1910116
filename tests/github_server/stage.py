"""The switches: what this GitHub should do badly, and what it counted."""

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.github_server.wire import Answer, Refusal


@dataclass
class Fault:
    """Calls whose name matches are answered with this, a number of times."""

    expression: re.Pattern[str]
    status: int
    left: int


@dataclass
class Override:
    """How the next run ends, whatever its steps would say."""

    conclusion: str
    workflow: str  # file name; "" is any


class Stage:
    """Everything a test may turn; all of it can be changed while the server works.

    Attributes:
        token_seconds: how long an installation token lives.
        tokens_last_calls: every so many calls all tokens of the installation expire; 0 is never.
        new_runs_are_hidden_for: how many listings do not show a dispatched run yet.
        hourly_limit: calls an installation may make.
        delay_seconds: how long every answer to a matching call (`delay_calls`) takes.
        knows_run_details: False plays a server from before February 2026, which refuses the parameter.
        loses_dispatches: a dispatch is accepted and no run ever appears.
        holds_runs: runs stay queued until `release_runs`.
        seconds_per_minute: what a minute of `timeout-minutes` takes.
        log_padding_bytes: how much noise comes before the end of every step's log.
        runner_environment: variables every step gets besides the documented ones (caches, indexes, PATH).
        mergeable_after_reads: how often a pull request says that it does not know yet.

    """

    def __init__(self) -> None:
        self.token_seconds = 3600.0
        self.tokens_last_calls = 0
        self.new_runs_are_hidden_for = 0
        self.hourly_limit = 5000
        self.delay_seconds = 0.0
        self.delay_calls = re.compile(".*")
        self.knows_run_details = True
        self.loses_dispatches = False
        self.seconds_per_minute = 60.0
        self.log_padding_bytes = 0
        self.runner_environment: dict[str, str] = {}
        self.mergeable_after_reads = 1
        self.overrides: deque[Override] = deque()
        self.calls: Counter[str] = Counter()
        self.git_calls = 0
        self.used = 0
        self._faults: list[Fault] = []
        self._limit: _Limit | None = None
        self._lock = threading.Lock()
        self._reset_at = time.time() + 3600
        self.may_run = threading.Event()
        self.may_run.set()

    # --- For a test ---------------------------------------------------------

    @property
    def holds_runs(self) -> bool:
        return not self.may_run.is_set()

    @holds_runs.setter
    def holds_runs(self, is_held: bool) -> None:
        if is_held:
            self.may_run.clear()
        else:
            self.may_run.set()

    def fail(self, times: int, *, status: int = 502, calls: str = ".*") -> None:
        """Answer the next matching calls (an expression on ``GET /repos/{owner}/{repo}``) with an error."""
        self._faults.append(Fault(re.compile(calls), status, times))

    def limit_after(
        self, calls: int, *, secondary: bool = False, seconds: float = 60, times: int = 1
    ) -> None:
        """Refuse for want of rate after this many more calls, `times` times or until the time is over."""
        self._limit = _Limit(calls, secondary, seconds, times)

    def conclude(self, conclusion: str, *, workflow: str = "", runs: int = 1) -> None:
        """End the next runs as failure, cancelled, timed_out, action_required, startup_failure or success."""
        self.overrides.extend(Override(conclusion, workflow) for _ in range(runs))

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """Count the API calls of a block by endpoint."""
        counted: Counter[str] = Counter()
        before = self.calls.copy()
        yield counted
        counted.update(self.calls - before)

    # --- For the server -----------------------------------------------------

    def take_override(self, workflow: str) -> str | None:
        for override in self.overrides:
            if override.workflow in ("", workflow):
                self.overrides.remove(override)
                return override.conclusion
        return None

    def admit(self, name: str) -> None:
        """Count a call and refuse it if a switch says so.

        Raises:
            Refusal: a fault or a limit.

        """
        if self.delay_seconds and self.delay_calls.search(name):
            time.sleep(self.delay_seconds)
        with self._lock:
            self.calls[name] += 1
            self.used += 1
            self._fault(name)
            if self._limit is not None and not self._limit.admits():
                raise self._limit.refusal(self)
            if self.used > self.hourly_limit:
                raise _primary(self)

    def _fault(self, name: str) -> None:
        for fault in self._faults:
            if fault.left and fault.expression.search(name):
                fault.left -= 1
                raise Refusal(fault.status, "Server Error" if fault.status >= 500 else "Refused by the stage")

    def forgive(self) -> None:
        """Take back one call: an unchanged answer costs nothing."""
        with self._lock:
            self.used -= 1

    @property
    def has_limited(self) -> bool:
        """Tell whether the limit that was asked for has refused a call."""
        return self._limit is not None and self._limit.has_refused

    @property
    def remaining(self) -> int:
        return max(0, self.hourly_limit - self.used)

    def rate_headers(self) -> dict[str, str]:
        if time.time() >= self._reset_at:
            self._reset_at, self.used = time.time() + 3600, 0
        return {
            "X-RateLimit-Limit": str(self.hourly_limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(self._reset_at)),
            "X-RateLimit-Used": str(self.used),
            "X-RateLimit-Resource": "core",
        }

    def rate(self) -> Answer:
        headers = self.rate_headers()
        core = {
            name.rpartition("-")[2].lower(): int(value) for name, value in headers.items() if value.isdigit()
        }
        return Answer(200, {"resources": {"core": core}, "rate": core})


@dataclass
class _Limit:
    calls: int
    is_secondary: bool
    seconds: float
    times: int
    ends_at: float = field(default=0.0)
    has_refused: bool = False

    def admits(self) -> bool:
        if self.calls > 0:
            self.calls -= 1
            return True
        if not self.ends_at:
            self.ends_at = time.time() + self.seconds
        if self.times <= 0 or time.time() >= self.ends_at:
            return True
        self.times -= 1
        self.has_refused = True
        return False

    def refusal(self, stage: Stage) -> Refusal:
        if not self.is_secondary:
            return _primary(stage, self.ends_at)
        message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        return Refusal(403, message, headers={"Retry-After": str(max(1, round(self.ends_at - time.time())))})


def _primary(stage: Stage, reset_at: float | None = None) -> Refusal:
    headers = stage.rate_headers() | {"X-RateLimit-Remaining": "0"}
    if reset_at:
        headers["X-RateLimit-Reset"] = str(int(reset_at) + 1)
    return Refusal(403, "API rate limit exceeded for installation ID 2001.", headers=headers)
