"""The report of a verification as it must look: words from untrusted code, read strictly. Pure."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MAX_REPORT_BYTES: Final = 4_000_000
FILE_NAME: Final = "report.json"
VERSION: Final = 1

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
TestId = Annotated[str, Field(max_length=500)]
TestIds = Annotated[tuple[TestId, ...], Field(max_length=20_000)]
PhaseName = Literal["fetch", "setup_base", "tests_base", "setup_head", "tests_head", "check", "check_base"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PhaseReport(_Part):
    """One command that was run."""

    name: PhaseName
    command: Annotated[str, Field(max_length=1_000)]
    exit_code: Annotated[int, Field(ge=-255, le=255)]
    seconds: Seconds
    timed_out: bool


class Counts(_Part):
    """What the project's own test report says."""

    total: Count
    passed: Count
    failed: Count
    skipped: Count


class Report(_Part):
    """What the driver observed."""

    v: Literal[1]
    base_sha: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    head_sha: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    phases: Annotated[tuple[PhaseReport, ...], Field(max_length=10)]
    base_tests: TestIds = ()
    head_tests: TestIds = ()
    skipped_tests: TestIds = ()
    """Tests that run on the base and are skipped on the head."""
    failed_tests: TestIds = ()
    protected_changed: Annotated[tuple[TestId, ...], Field(max_length=1_000)] = ()
    refused_paths: Annotated[tuple[TestId, ...], Field(max_length=1_000)] = ()
    """Paths of the head that would replace the tools of the checks."""
    counts: Counts | None = None

    def phase(self, name: str) -> PhaseReport | None:
        """Return a phase that was reached."""
        return next((phase for phase in self.phases if phase.name == name), None)


def read_report(content: bytes) -> Report | None:
    """Read a report; None if it is not one."""
    try:
        report = Report.model_validate_json(content)
    except (ValidationError, RecursionError):
        return None
    names = [phase.name for phase in report.phases]
    return report if len(set(names)) == len(names) else None
