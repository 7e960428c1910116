"""Proves one commit: sets it up, lists its tests beside those of its base, runs its check, reports.

The base comes first: it was proven before, so nothing it runs can falsify what is seen of the head.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from worker_image.verify.commands import Phases, read_listing
from worker_image.verify.repository import (
    GitFailed,
    Repository,
    changed_protected,
    environment_paths,
    has_same_requirements,
)
from worker_image.verify.tests_seen import JUNIT, Seen, normal, parse_ids, read_junit

_SHOWN_PATHS = 1_000


class Verification:
    """One run of the driver.

    Args:
        request: what to prove.
        bundle: the repository.
        directory: where everything happens and the report is left.

    """

    def __init__(self, request: dict[str, Any], bundle: Path, directory: Path) -> None:
        self._request = request
        self._bundle = bundle
        self._directory = directory
        self._commands: dict[str, str] = request["commands"]
        self._repository = Repository(directory / "repository", directory / "project")
        self._phases = Phases(directory / "project", time.monotonic() + request["deadline_seconds"])
        self._report: dict[str, Any] = {
            "v": 1,
            "base_sha": request["base_sha"],
            "head_sha": request["head_sha"],
            "phases": self._phases.done,
        }

    def run(self) -> dict[str, Any]:
        """Take every step that makes sense after the one before, and return the report."""
        if self._fetch() and self._prove_base():
            self._prove_head()
        return self._report

    def _fetch(self) -> bool:
        began, exit_code = time.monotonic(), 0
        try:
            self._repository.unpack(self._bundle)
            self._base = self._repository.files(self._request["base_sha"])
            self._head = self._repository.files(self._request["head_sha"])
            self._repository.show(self._request["base_sha"])
        except GitFailed as error:
            print(error, flush=True)
            exit_code = error.exit_code
        return self._phases.note(
            "fetch", "git bundle unbundle", exit_code=exit_code, seconds=time.monotonic() - began
        )

    def _prove_base(self) -> bool:
        return self._phases.run("setup_base", self._commands["setup"]) and self._list("base")

    def _prove_head(self) -> None:
        refused = environment_paths(self._base, self._head)
        self._report["refused_paths"] = refused[:_SHOWN_PATHS]
        if refused:
            return
        protected = changed_protected(self._base, self._head, self._request["protected"])
        self._report["protected_changed"] = protected[:_SHOWN_PATHS]
        self._repository.show(self._request["head_sha"])
        self._repository.restore(self._request["base_sha"], protected)
        if not has_same_requirements(self._base, self._head, protected) and not self._phases.run(
            "setup_head", self._commands["setup"]
        ):
            return
        if self._list("head"):
            self._check()

    def _check(self) -> None:
        seen = self._run_check("check")
        if seen is None:
            return
        self._report["counts"] = seen.counts()
        self._report["failed_tests"] = list(seen.failed)
        known = {normal(test_id) for test_id in self._report["base_tests"]}
        skipped = [test_id for test_id in seen.skipped if test_id in known]
        if skipped:
            # Only then is it worth knowing which tests the base itself skips.
            self._repository.show(self._request["base_sha"])
            before = self._run_check("check_base")
            skipped = [test_id for test_id in skipped if before is None or test_id not in before.skipped]
        self._report["skipped_tests"] = skipped

    def _run_check(self, name: str) -> Seen | None:
        junit = self._repository.tree / JUNIT
        junit.unlink(missing_ok=True)
        self._phases.run(name, self._commands["check"])
        return read_junit(junit)

    def _list(self, side: str) -> bool:
        with tempfile.NamedTemporaryFile(dir=self._directory) as listing:
            done = self._phases.run(f"tests_{side}", self._commands["tests"], output=listing.file)
            self._report[f"{side}_tests"] = parse_ids(read_listing(Path(listing.name)))
        return done


def main() -> None:
    """Read the request from the inputs, prove it in the current directory, leave the report there."""
    inputs, directory = Path(sys.argv[1]).absolute(), Path.cwd()
    request = json.loads((inputs / "request.json").read_text())
    report = Verification(request, inputs / "repository.bundle", directory).run()
    unfinished = directory / "report.json.part"
    unfinished.write_text(json.dumps(report))
    unfinished.rename(directory / "report.json")
