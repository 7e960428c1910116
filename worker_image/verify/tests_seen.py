"""What the project says about its tests: the listed ids, and the report its check wrote."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

JUNIT = ".reports/junit.xml"
MAX_JUNIT_BYTES = 10_000_000
MAX_IDS = 20_000
MAX_ID_CHARACTERS = 500


@dataclass(frozen=True)
class Seen:
    """The project's own report of one run of its check."""

    total: int
    failed: tuple[str, ...]
    skipped: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Return the numbers of the report."""
        failed, skipped = len(self.failed), len(self.skipped)
        passed = self.total - failed - skipped
        return {"total": self.total, "passed": passed, "failed": failed, "skipped": skipped}


def parse_ids(listing: str) -> list[str]:
    """Return the test ids of a listing, one per line."""
    lines = (line.strip() for line in listing.splitlines())
    return sorted({line[:MAX_ID_CHARACTERS] for line in lines if line})[:MAX_IDS]


def normal(test_id: str) -> str:
    """Return the form in which a listed id and a reported one can be compared."""
    module, bracket, parameters = test_id.partition("[")
    return re.sub(r"\.py::|::|/", ".", module) + bracket + parameters


def read_junit(path: Path) -> Seen | None:
    """Read the report; None if there is none that can be read.

    A file the checks wrote is untrusted: it is bounded, and never believed against an exit code.
    """
    try:
        if path.is_symlink() or path.stat().st_size > MAX_JUNIT_BYTES:
            return None
        cases = list(ET.fromstring(path.read_bytes()).iter("testcase"))
    except (OSError, ET.ParseError):
        return None
    # One test has two entries if it failed and its clean-up failed, too.
    names = {_name(case) for case in cases}
    failed = {
        _name(case) for case in cases if case.find("failure") is not None or case.find("error") is not None
    }
    skipped = {_name(case) for case in cases if case.find("skipped") is not None} - failed
    return Seen(
        total=len(names), failed=tuple(sorted(failed)[:MAX_IDS]), skipped=tuple(sorted(skipped)[:MAX_IDS])
    )


def _name(case: "ET.Element") -> str:
    return f"{case.get('classname', '')}.{case.get('name', '')}"[:MAX_ID_CHARACTERS]
