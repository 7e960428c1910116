"""Reads what became of each test: from a JUnit report, else from a runner's last words. Untrusted."""

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

_MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_CASES: Final = 50_000
_MAX_NAME_CHARS: Final = 500
_WORST_LAST: Final = ("passed", "skipped", "failed")
_PYTEST: Final = re.compile(r"(\d{1,7}) (passed|failed|errors?|skipped|xfailed|xpassed)\b")
_PYTEST_LINE: Final = re.compile(
    r"=*\s*\d+ (?:passed|failed|error|skipped|xfailed|xpassed|deselected).* in [\d.:]+s"
)
_UNITTEST_RAN: Final = re.compile(r"^Ran (\d{1,7}) tests? in ", re.MULTILINE)
_UNITTEST_END: Final = re.compile(r"^(?:OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)


class ReportRefused(Exception):
    """A JUnit report is too large, malformed, or uses what such a report has no need of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """Counts, and if the runner gave them, the outcome of each test by (class name, name)."""

    source: str  # junit or summary_line
    passed: int
    failed: int
    skipped: int
    cases: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many tests there were."""
        return self.passed + self.failed + self.skipped

    def of(self, identifiers: Collection[str]) -> dict[str, str]:
        """Return the outcome of each listed test that has one; none at all if the runner uses other names."""
        return {name: self.cases[key] for name in identifiers if (key := _junit_name(name)) in self.cases}

    def names_besides(self, identifiers: Collection[str]) -> list[str]:
        """Return the other tests, in the runner's own words, for people to read."""
        known = {_junit_name(name) for name in identifiers}
        names = ("::".join(key)[:_MAX_NAME_CHARS] for key in self.cases.keys() - known)
        return sorted("".join(c if c.isprintable() else "?" for c in name) for name in names)


def read_results(junit: Path, log: str) -> Results | None:
    """Return what the check said about its tests; None if it said nothing that can be read."""
    try:
        return _parse_junit(_read(junit))
    except (OSError, ReportRefused):
        return _parse_pytest(log) or _parse_unittest(log)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ReportRefused("not a plain file")
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ReportRefused("too large")
    return content


def _parse_junit(content: bytes) -> Results:
    reader = _JUnitReader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise ReportRefused(f"malformed: {error}") from error
    outcomes = list(reader.cases.values())
    return Results(
        source="junit",
        passed=outcomes.count("passed"),
        failed=outcomes.count("failed"),
        skipped=outcomes.count("skipped"),
        cases=reader.cases,
    )


class _JUnitReader:
    """Collects test cases; the worst that is said about one counts."""

    def __init__(self) -> None:
        self.cases: dict[tuple[str, str], str] = {}
        self._case: tuple[str, str] | None = None

    def refuse(self, *_: Any) -> None:
        """Say no to a document type: entities of its own are how XML is made to explode."""
        raise ReportRefused("has a document type")

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """Note a test case, or what is said about the one we are in."""
        if element == "testcase":
            self._case = (attributes.get("classname", ""), attributes.get("name", ""))
            self._note("passed")
        elif element in ("failure", "error"):
            self._note("failed")
        elif element == "skipped":
            self._note("skipped")
        if len(self.cases) > _MAX_CASES:
            raise ReportRefused("has too many test cases")

    def end(self, element: str) -> None:
        """Leave a test case."""
        if element == "testcase":
            self._case = None

    def _note(self, outcome: str) -> None:
        if self._case is not None:
            known = self.cases.get(self._case, outcome)
            self.cases[self._case] = max(known, outcome, key=_WORST_LAST.index)


def _junit_name(identifier: str) -> tuple[str, str]:
    """Return what pytest calls a test in its JUnit report: dots for the path and the classes."""
    address, bracket, parameters = identifier.partition("[")
    path, *names = address.split("::")
    module = path.removesuffix(".py").replace("/", ".")
    if not names:
        module, _, name = module.rpartition(".")
        return module, name + bracket + parameters
    return ".".join([module, *names[:-1]]), names[-1] + bracket + parameters


def _parse_pytest(log: str) -> Results | None:
    lines = [line for line in log.splitlines()[-50:] if _PYTEST_LINE.match(line)]
    if not lines:
        return None
    counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
    kinds = {"xfailed": "skipped", "xpassed": "passed", "error": "failed", "errors": "failed"}
    for number, kind in _PYTEST.findall(lines[-1]):
        counts[kinds.get(kind, kind)] += int(number)
    return Results(
        source="summary_line", passed=counts["passed"], failed=counts["failed"], skipped=counts["skipped"]
    )


def _parse_unittest(log: str) -> Results | None:
    ran, ended = _UNITTEST_RAN.findall(log), _UNITTEST_END.findall(log)
    if not ran or not ended:
        return None
    told = {name: int(number) for name, number in re.findall(r"([a-z ]+)=(\d{1,7})", ended[-1])}
    failed = sum(told.get(name, 0) for name in ("failures", "errors", " errors", " unexpected successes"))
    skipped = sum(number for name, number in told.items() if name.strip() in ("skipped", "expected failures"))
    return Results(
        source="summary_line", passed=max(0, int(ran[-1]) - failed - skipped), failed=failed, skipped=skipped
    )
