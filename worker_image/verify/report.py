"""The report: what is in it, and how it gets onto the disk whole, whatever lies there."""

import errno
import json
import os
import secrets
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from worker_image.verify.boundedtext import clean, end_of
from worker_image.verify.processes import Finished
from worker_image.verify.results import Results
from worker_image.verify.spec import Spec

REPORT_NAME: Final = "report.json"
VERSION: Final = 1
#: The most a report takes; whoever fetches it may refuse more.
MAX_REPORT_BYTES: Final = 8 * 1024 * 1024
MAX_TESTS: Final = 20_000
MAX_ID_CHARS: Final = 1_000
#: Bytes of one listing of tests.
MAX_LISTING_BYTES: Final = 1_000_000
MAX_LOG_CHARS: Final = 8_000
MAX_PATHS: Final = 200

#: The driver ran to its end, whatever it observed.
EXIT_DONE: Final = 0
#: It could not: the report's ``problem`` says why.
EXIT_PROBLEM: Final = 3

FULL_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True)
class Report:
    """What was observed so far.

    Attributes:
        phases: in the order in which they ran: ``clone``, ``setup_base``, ``tests_base``, ``setup``,
            ``check``; ``tests_head`` unless the check has told of every test of the base; and if the
            base was asked again ``setup_again``, ``check_again``.
        tests_base: ids; None if they could not be listed.
        tests_head: ids, of those the base does not have perhaps in other words; None likewise.
        results: of the check of the head.
        not_run: tests that both have and the head skipped or never reported; None if nobody can tell.
        results_base: of the check of the base, if it was asked again.
        not_run_base: tests that the base itself skipped or never reported.
        problem: why the driver could not go on.
        stopped_in: the phase that was running when the driver was told to end.
    """

    spec: Spec
    phases: dict[str, dict[str, Any]] = field(default_factory=dict)
    tree: str | None = None
    restored: tuple[str, ...] = ()
    tests_base: list[str] | None = None
    tests_head: list[str] | None = None
    results: Results | None = None
    not_run: list[str] | None = None
    results_base: Results | None = None
    not_run_base: list[str] | None = None
    problem: str | None = None
    detail: str = ""
    stopped_in: str | None = None

    def add_phase(self, name: str, finished: Finished) -> None:
        """Note how a command ended."""
        self.phases[name] = {
            "seconds": round(finished.seconds, 3),
            "exit_code": finished.exit_code,
            "timed_out": finished.timed_out,
            "log_tail": end_of(finished.log, MAX_LOG_CHARS),
        }

    def add_clone(self, seconds: float) -> None:
        """Note that the commits are there."""
        self.phases["clone"] = {
            "seconds": round(seconds, 3),
            "exit_code": 0,
            "timed_out": False,
            "log_tail": "",
        }

    def content(self) -> bytes:
        """Return the report as it is written."""
        document = {
            "version": VERSION,
            "base_sha": self.spec.base_sha,
            "head_sha": self.spec.head_sha,
            "commands": dict(self.spec.commands),
            "phases": self.phases,
            "tree": self.tree,
            "restored": [clean(path)[:MAX_ID_CHARS] for path in self.restored[:MAX_PATHS]],
            "tests_base": self.tests_base,
            "tests_head": self.tests_head,
            "summary": _summary(self.results),
            "not_run": self.not_run,
            "summary_base": _summary(self.results_base),
            "not_run_base": self.not_run_base,
            "problem": self.problem,
            "detail": end_of(clean(self.detail), 1_000),
            "stopped_in": self.stopped_in,
        }
        return json.dumps(document, ensure_ascii=False).encode()


def _summary(results: Results | None) -> dict[str, Any] | None:
    if results is None:
        return None
    return {
        "source": results.source,
        "total": results.total,
        "passed": results.passed,
        "failed": results.failed,
        "skipped": results.skipped,
    }


def write_report(directory: Path, content: bytes) -> None:
    """Put a report in place of whatever has its name. Call it when no other process of ours is alive.

    Raises:
        OSError: the disk is full, or is not ours any more.

    """
    directory.chmod(stat.S_IRWXU)
    target = directory / REPORT_NAME
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target, ignore_errors=True)
    draft = directory / f".{REPORT_NAME}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    draft.replace(target)
