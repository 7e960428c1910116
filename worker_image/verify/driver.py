"""The order of a verification: the base speaks first, then the change, then, if need be, the base again."""

import os
import shutil
import time
from pathlib import Path
from typing import Final

from worker_image.verify import packages
from worker_image.verify.checkout import Checkout, CheckoutProblem
from worker_image.verify.processes import Finished, Runner, Stopped
from worker_image.verify.report import FULL_DISK, MAX_ID_CHARS, MAX_LISTING_BYTES, MAX_TESTS, Report
from worker_image.verify.results import Results, read_results
from worker_image.verify.spec import Spec

#: A command that fails with less than this left failed for want of it.
_LEAST_FREE_BYTES: Final = 8 * 1024 * 1024
#: What a command does not get from our own environment: it is about the driver, not about the project.
_PRIVATE: Final = (
    "PYTHON",
    "GIT_",
    "MAKE",
    "MFLAGS",
    "GNUMAKEFLAGS",
    "VIRTUAL_ENV",
    "INPUT_DIR",
    "WORKSPACE_DIR",
)


class Problem(Exception):
    """The verification cannot go on; ``code`` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def verify(spec: Spec, *, bundle: Path, work: Path, runner: Runner) -> Report:
    """Run every phase that makes sense and report; nothing that was started is alive afterwards.

    Args:
        spec: what is to be proven.
        bundle: a git bundle with both commits and their whole history.
        work: an empty directory.
        runner: starts commands.

    """
    report = Report(spec)
    try:
        _Verification(report, bundle=bundle, work=work, runner=runner).run()
    except Stopped:
        report.problem, report.stopped_in = "stopped", runner.running or "start"
    except (Problem, CheckoutProblem) as problem:
        report.problem, report.detail = problem.code, problem.detail
    except OSError as error:
        report.problem = "disk_full" if error.errno in FULL_DISK else "driver_failed"
        report.detail = f"{runner.running}: {error.strerror}"
    if report.problem not in (None, "stopped") and _is_full(work):
        report.problem = "disk_full"
    return report


class _Verification:
    """One run; each method is a phase that notes itself in the report."""

    def __init__(self, report: Report, *, bundle: Path, work: Path, runner: Runner) -> None:
        self._report = report
        self._spec = report.spec
        self._bundle = bundle
        self._work = work
        self._runner = runner
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)
        }
        self._packages = self._package_cache()

    def run(self) -> None:
        project = self._checkout("project")
        began = time.monotonic()
        self._runner.running = "clone"
        project.clone(("base_missing", self._spec.base_sha), ("head_missing", self._spec.head_sha))
        tree = project.verified_tree(
            base_sha=self._spec.base_sha, head_sha=self._spec.head_sha, protected=self._spec.protected
        )
        project.check_out(self._spec.base_sha)
        self._report.tree, self._report.restored = tree.sha, tree.restored
        self._report.add_clone(time.monotonic() - began)
        self._environment |= self._packages.variables_for(project.directory)
        if self._command("setup_base", "setup", project).is_good:
            self._report.tests_base = self._list_tests("tests_base", project)
        self._runner.running = "switch"
        project.replace(tree, head_sha=self._spec.head_sha)
        self._environment |= self._packages.variables_for(project.directory)
        if self._command("setup", "setup", project).is_good:
            self._check(project)

    def _check(self, project: Checkout) -> None:
        junit = project.directory / self._spec.junit
        _discard(junit)
        checked = self._command("check", "check", project)
        self._report.results = results = read_results(junit, checked.log)
        if checked.timed_out:
            return
        base = self._report.tests_base
        if base and results and len(results.of(base)) == len(base):
            # It has told of every test of the base by name: more than a list of names could say.
            self._report.tests_head = [*base, *results.names_besides(base)][:MAX_TESTS]
        else:
            self._report.tests_head = self._list_tests("tests_head", project)
        self._report.not_run = _not_run(base, self._report.tests_head, results)
        if checked.is_good and self._is_doubtful(results):
            self._ask_base_again()

    def _is_doubtful(self, results: Results | None) -> bool:
        """Whether only the base can tell if what was left out may be left out."""
        if results is None:
            return True
        if self._report.not_run is not None:
            return bool(self._report.not_run)
        return results.skipped > 0 or results.total < len(self._report.tests_head or ())

    def _ask_base_again(self) -> None:
        """Run the base's checks where the change has not been: another clone, another home."""
        again = self._checkout("again")
        self._runner.running = "clone_again"
        again.clone()
        again.check_out(self._spec.base_sha)
        for variable in ("HOME", "TMPDIR"):
            directory = self._work / f"again-{variable.lower()}"
            directory.mkdir(mode=0o700)
            self._environment[variable] = str(directory)
        self._environment |= self._package_cache().variables_for(again.directory)
        if not self._command("setup_again", "setup", again).is_good:
            return
        checked = self._command("check_again", "check", again)
        self._report.results_base = read_results(again.directory / self._spec.junit, checked.log)
        self._report.not_run_base = _not_run(
            self._report.tests_base, self._report.tests_base, self._report.results_base
        )

    def _package_cache(self) -> packages.PackageCache:
        source = self._environment.get(packages.VARIABLE)
        home, temporary = (self._environment.get(name, str(self._work)) for name in ("HOME", "TMPDIR"))
        return packages.PackageCache(
            Path(source) if source else None, memory=Path(temporary), disk=Path(home)
        )

    def _list_tests(self, phase: str, project: Checkout) -> list[str] | None:
        listed = self._command(phase, "tests", project, output_limit=MAX_LISTING_BYTES)
        if not listed.is_good or not listed.is_output_complete:
            return None
        return _identifiers(listed.output)

    def _command(self, phase: str, command: str, project: Checkout, *, output_limit: int = 0) -> Finished:
        self._runner.running = phase
        finished = self._runner.run(
            ["sh", "-c", self._spec.commands[command]],
            directory=project.directory,
            environment=self._environment,
            timeout_seconds=self._spec.limits[f"{command}_seconds"],
            output_limit=output_limit,
        )
        self._report.add_phase(phase, finished)
        if not finished.is_good and _is_full(self._work):
            raise Problem("disk_full", f"The disk is full after {phase}.")
        return finished

    def _checkout(self, name: str) -> Checkout:
        return Checkout(
            self._work / name,
            bundle=self._bundle,
            runner=self._runner,
            timeout_seconds=self._spec.limits["clone_seconds"],
        )


def _identifiers(output: bytes) -> list[str] | None:
    """Return the listed tests, each once and sorted; None if a line is no id."""
    try:
        lines = {line.strip() for line in output.decode().split("\n")} - {""}
    except UnicodeDecodeError:
        return None
    if len(lines) > MAX_TESTS or any(len(line) > MAX_ID_CHARS or not line.isprintable() for line in lines):
        return None
    return sorted(lines)


def _not_run(base: list[str] | None, listed: list[str] | None, results: Results | None) -> list[str] | None:
    """Return the tests of the base that still exist and were skipped or never reported.

    None if nobody can tell: there is no list, or the runner's report uses other names.
    """
    if base is None or listed is None or results is None:
        return None
    outcomes = results.of(set(base) | set(listed))
    if not outcomes:
        return None
    present = set(listed)
    return [name for name in base if name in present and outcomes.get(name, "skipped") == "skipped"]


def _discard(path: Path) -> None:
    """Remove what an earlier command has left in the place of a test report."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_full(directory: Path) -> bool:
    return shutil.disk_usage(directory).free < _LEAST_FREE_BYTES
