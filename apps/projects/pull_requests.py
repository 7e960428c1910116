"""The words of a pull request, and what makes two failures of its checks the same: pure functions."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from apps.projects.models import MergeRequest

_SHOWN_FILES: Final = 50
_SHOWN_COMMITS: Final = 20
_SPEC_CHARACTERS: Final = 4_000

_NOISE: Final = (
    re.compile(r"\x1b\[[0-9;]*[A-Za-z]"),  # colours
    re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    re.compile(r"\b(?:0x)?(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{7,64}\b"),  # commits, addresses, digests
    re.compile(r"(?:[A-Za-z]:)?(?:[\w.@~+-]*/)+[\w.@~+-]*"),  # paths
    re.compile(r"\d+"),  # times, counts, lines
)


def fingerprint(*, job: str, step: str, excerpt: str) -> str:
    """Name the reason of a failure: the same however the times, ids, paths and numbers in its log differ."""
    text = excerpt
    for noise in _NOISE:
        text = noise.sub("·", text)
    lines = (re.sub(r"[\s·=_.-]+", " ", line).strip() for line in text.splitlines())
    reason = "\n".join([job, step, *(line for line in lines if line)])
    return hashlib.sha256(reason.encode("utf-8", "replace")).hexdigest()


def describe(change: MergeRequest) -> str:
    """Return a pull request's description in Markdown: what we observed, then what others say, marked so.

    Args:
        change: verified; with its task and project.

    """
    evidence: Mapping[str, Any] = change.evidence or {}
    report: Mapping[str, Any] = change.report or {}
    parts = [
        "## Verified before this pull request",
        *_observed(change, evidence),
        "",
        *_files(report),
        "",
        "## Asked for",
        f"Task `{change.task_id}`, in the words of the person who asked:",
        "",
        *_quoted(change.task.spec[:_SPEC_CHARACTERS]),
        "",
        "## The agent's own words",
        "Titles of its commits; nobody has checked what they say.",
        "",
        *_quoted("\n".join(str(commit["subject"]) for commit in report.get("commits", ())[:_SHOWN_COMMITS])),
    ]
    return "\n".join(parts) + "\n"


def _observed(change: MergeRequest, evidence: Mapping[str, Any]) -> Iterable[str]:
    yield f"- Commit `{change.head_sha}` on `{change.base_sha}`"
    command = ((change.project.manifest or {}).get("commands") or {}).get("check")
    passed, total = evidence.get("passed"), evidence.get("total")
    counts = f", {passed} of {total} tests passed" if passed is not None and total is not None else ""
    seconds = f" in {evidence['seconds']} s" if evidence.get("seconds") is not None else ""
    if command:
        yield f"- {_code(command)} succeeded in a fresh place{counts}{seconds}"
    if evidence.get("verification"):
        yield f"- Verification `{evidence['verification']}`"


def _files(report: Mapping[str, Any]) -> Iterable[str]:
    paths = list(report.get("paths", ()))
    count = report.get("files_changed", len(paths))
    yield f"Files changed: {count} (+{report.get('additions', 0)} −{report.get('deletions', 0)} lines)"
    yield ""
    for path in paths[:_SHOWN_FILES]:
        yield f"- {_code(str(path))}"
    if count > _SHOWN_FILES:
        yield f"- and {count - _SHOWN_FILES} more"


def _code(text: str) -> str:
    """Show words as code, so that nothing in them is a link, a mention or markup."""
    shown = "".join(c if c.isprintable() else "?" for c in text)[:300]
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _quoted(text: str) -> Iterable[str]:
    """Show words of others as a block of code: no mention, no closing keyword, no markup takes effect."""
    kept = "".join(c for c in text if c in "\n\t" or c.isprintable()).strip()
    fence = "`" * max(3, _longest_run(kept) + 1)
    yield f"{fence}text"
    yield from kept.splitlines() or ["(nothing)"]
    yield fence


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
