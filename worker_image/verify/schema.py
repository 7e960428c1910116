"""The report as its readers parse it: strictly, for untrusted code ran where it was written.

The driver itself does not import this module, for it needs pydantic.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worker_image.verify.report import MAX_ID_CHARS, MAX_REPORT_BYTES, MAX_TESTS

Seconds = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=100_000_000)]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Word = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
Name = Annotated[str, Field(max_length=MAX_ID_CHARS)]
Names = Annotated[tuple[Name, ...], Field(max_length=MAX_TESTS, strict=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Phase(_Part):
    """How one command ended."""

    seconds: Seconds
    exit_code: Annotated[int, Field(ge=0, le=255)] | None
    timed_out: bool
    log_tail: Annotated[str, Field(max_length=20_000)]

    @property
    def is_good(self) -> bool:
        """Whether the command says that all went well."""
        return self.exit_code == 0


class Summary(_Part):
    """What the checks said of their tests."""

    source: Word
    total: Count
    passed: Count
    failed: Count
    skipped: Count


class Report(_Part):
    """What the driver observed; for the fields see `report.Report`."""

    version: Literal[1]
    base_sha: Sha
    head_sha: Sha
    commands: Annotated[dict[Word, Annotated[str, Field(max_length=1_000)]], Field(max_length=3)]
    phases: Annotated[dict[Word, Phase], Field(max_length=12)]
    tree: Sha | None
    restored: Names
    tests_base: Names | None
    tests_head: Names | None
    summary: Summary | None
    not_run: Names | None
    summary_base: Summary | None
    not_run_base: Names | None
    problem: Word | None
    detail: Annotated[str, Field(max_length=2_000)]
    stopped_in: Word | None

    @property
    def removed(self) -> list[str]:
        """Tests of the base that the head has no more; none if one of them could not be listed."""
        if self.tests_base is None or self.tests_head is None:
            return []
        return sorted(set(self.tests_base) - set(self.tests_head))

    @property
    def newly_skipped(self) -> list[str]:
        """Tests that both have and only the base runs."""
        return sorted(set(self.not_run or ()) - set(self.not_run_base or ()))


def read_report(content: bytes | None) -> Report | None:
    """Parse a report; None if it is absent, too large, or not one. Unknown fields are ignored."""
    if content is None or len(content) > MAX_REPORT_BYTES:
        return None
    try:
        return Report.model_validate_json(content)
    except (ValidationError, RecursionError):
        return None
