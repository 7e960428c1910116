"""``python -m worker_image.verify --spec spec.json``: verify and write the report (see the package)."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from worker_image.verify import processes
from worker_image.verify.driver import verify
from worker_image.verify.report import EXIT_DONE, EXIT_PROBLEM, FULL_DISK, Report, write_report
from worker_image.verify.spec import BUNDLE_NAME, SPEC_NAME, SpecInvalid, read_spec


def main(arguments: list[str] | None = None) -> int:
    """Verify what a specification asks, in the current directory; return the exit code."""
    parser = argparse.ArgumentParser(prog="worker_image.verify", description=__doc__)
    parser.add_argument("--spec", default=SPEC_NAME, help="file in $INPUT_DIR, beside the bundle")
    options = parser.parse_args(arguments)
    inputs = Path(os.environ.get("INPUT_DIR", ".")).absolute()
    work = Path.cwd()
    processes.protect_self()
    # `-m` puts the current directory first; soon the code under test can write there.
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != work]
    try:
        spec = read_spec(inputs / options.spec)
    except SpecInvalid as error:
        print(f"spec_invalid: {error}", file=sys.stderr)
        return EXIT_PROBLEM
    report = verify(spec, bundle=inputs / BUNDLE_NAME, work=work, runner=processes.Runner())
    _write(work, report)
    _tell(report)
    return EXIT_DONE if report.problem is None else EXIT_PROBLEM


def _write(work: Path, report: Report) -> None:
    try:
        write_report(work, report.content())
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        # What filled it is here, and of no more use.
        for entry in list(work.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
        write_report(work, report.content())


def _tell(report: Report) -> None:
    """Write a log for people: what was run, how it ended, and its last words if it ended badly."""
    for name, phase in report.phases.items():
        ending = "out of time" if phase["timed_out"] else f"exit code {phase['exit_code']}"
        print(f"{name}: {ending}, {phase['seconds']:.2f} s")
        if phase["exit_code"] != 0 and phase["log_tail"]:
            print(phase["log_tail"])
    if report.problem is not None:
        print(f"{report.problem}: {report.stopped_in or report.detail}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
