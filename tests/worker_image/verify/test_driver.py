"""The driver as a process on real repositories: what it reports."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.worker_image.verify.conftest import BASE, REPOSITORY, Proof, Rig, git

pytestmark = pytest.mark.service

ONE = "tests/test_a.py::test_one"
TWO = "tests/test_a.py::test_two"


def exit_codes(proof: Proof) -> dict[str, int | None]:
    return {name: phase.exit_code for name, phase in proof.report.phases.items()}


def test_honest_change_is_reported_with_its_numbers(rig: Rig) -> None:
    proof = rig.prove({"tests/test_b.py": "def test_new(): pass\n"})

    report = proof.report
    assert proof.exit_code == 0
    assert exit_codes(proof) == dict.fromkeys(("clone", "setup_base", "tests_base", "setup", "check"), 0)
    assert report.tests_base == (ONE, TWO)
    assert set(report.tests_head or ()) == {ONE, TWO, "tests.test_b::test_new"}
    assert report.summary is not None
    assert (report.summary.source, report.summary.passed, report.summary.total) == ("junit", 3, 3)
    assert (report.not_run, report.removed, report.restored) == ((), [], ())
    assert report.tree == git(rig.place / "origin", "rev-parse", "HEAD^{tree}")
    assert (report.base_sha, report.head_sha) == (rig.base_sha, rig.head_sha)


def test_broken_test_is_reported_with_its_words(rig: Rig) -> None:
    proof = rig.prove({"tests/test_a.py": "def test_one(): pass\ndef test_two(): assert False, 'not two'\n"})

    assert proof.exit_code == 0
    assert exit_codes(proof)["check"] != 0
    assert "not two" in proof.report.phases["check"].log_tail
    assert proof.report.summary is not None
    assert (proof.report.summary.passed, proof.report.summary.failed) == (1, 1)


def test_deleted_test_is_missed(rig: Rig) -> None:
    proof = rig.prove({"tests/test_a.py": "def test_one(): pass\n"})

    assert exit_codes(proof)["tests_head"] == 0
    assert proof.report.removed == [TWO]


def test_newly_skipped_test_is_told_from_one_that_the_base_skips(rig: Rig) -> None:
    skipped = "def test_one(): pass\ntest_two = 'skip'\n"

    proof = rig.prove({"tests/test_a.py": skipped}, base={"tests/test_b.py": "test_old = 'skip'\n"})

    assert proof.report.not_run == (TWO, "tests/test_b.py::test_old")
    assert proof.report.not_run_base == ("tests/test_b.py::test_old",)
    assert proof.report.newly_skipped == [TWO]


def test_new_test_may_be_skipped_without_asking_the_base(rig: Rig) -> None:
    proof = rig.prove({"tests/test_b.py": "test_new = 'skip'\n"})

    assert proof.report.not_run == ()
    assert "check_again" not in proof.report.phases


def test_stop_is_reported_with_the_phase(rig: Rig) -> None:
    rig.prepare({"tests/test_b.py": "import pathlib, time\npathlib.Path('up').touch()\ntime.sleep(100)\n"})
    process = rig.start()
    while not (rig.work / "project" / "up").exists():
        time.sleep(0.01)

    process.send_signal(signal.SIGTERM)
    proof = rig.finish()

    assert proof.exit_code == 3
    assert (proof.report.problem, proof.report.stopped_in) == ("stopped", "check")


@pytest.mark.parametrize(("field", "problem"), [("head_sha", "head_missing"), ("base_sha", "base_missing")])
def test_missing_commit_is_a_problem_by_name(rig: Rig, field: str, problem: str) -> None:
    proof = rig.prove({}, **{field: "1" * 40})

    assert proof.exit_code == 3
    assert proof.report.problem == problem


def test_damaged_bundle_is_a_problem(rig: Rig) -> None:
    rig.prepare({})
    bundle = rig.place / "input" / "change.bundle"
    bundle.write_bytes(bundle.read_bytes()[:-40])
    rig.start()

    proof = rig.finish()

    assert proof.exit_code == 3
    assert proof.report.problem == "clone_failed"


def test_unusable_specification_is_no_report(rig: Rig) -> None:
    proof = rig.prove({}, commands={"setup": "true"})

    assert proof.exit_code == 3
    assert proof.content is None
    assert "spec_invalid" in proof.output


def test_setup_that_fails_ends_it(rig: Rig) -> None:
    setup = BASE["Makefile"].replace("@mkdir -p .venv", "@test ! -e broken")

    proof = rig.prove({"broken": ""}, base={"Makefile": setup})

    assert list(proof.report.phases) == ["clone", "setup_base", "tests_base", "setup"]
    assert exit_codes(proof)["setup"] != 0


def test_environment_is_made_anew_only_if_dependencies_change(rig: Rig) -> None:
    setup = BASE["Makefile"].replace("@mkdir -p .venv", "@mkdir -p .venv; echo x >> .venv/made")

    rig.prove({"requirements.txt": "new\n"}, base={"Makefile": setup})

    assert (rig.work / "project" / ".venv" / "made").read_text() == "x\n"


def test_environment_of_the_base_is_kept_if_it_fits(rig: Rig) -> None:
    setup = BASE["Makefile"].replace("@mkdir -p .venv", "@mkdir -p .venv; echo x >> .venv/made")

    rig.prove({"app.py": "\n"}, base={"Makefile": setup})

    assert (rig.work / "project" / ".venv" / "made").read_text() == "x\nx\n"


def test_driver_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    call = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[1:] = ['--help']; "
    call += "runpy.run_module('worker_image.verify', run_name='__main__')"

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", call, str(REPOSITORY)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "--spec" in done.stdout


def test_real_pytest_is_matched_by_name(rig: Rig) -> None:
    makefile = (
        "PYTEST := PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -q -p no:cacheprovider\n"
        "setup:\n\t@true\ncheck:\n\t@$(PYTEST) --junitxml=.reports/junit.xml tests\n"
        "tests-list:\n\t@$(PYTEST) --collect-only tests | grep ::\n"
    )
    code = (
        "import pytest\n"
        "@pytest.mark.parametrize('x', ['a::b', 'c[d]', 'e'])\ndef test_values(x): pass\n"
        "class TestGroup:\n    def test_inside(self): {body}\n"
        "@pytest.mark.xfail\ndef test_expected(): assert False\n"
    )
    base = {"Makefile": makefile, "pytest.ini": "[pytest]\n", "tests/test_a.py": code.format(body="pass")}

    proof = rig.prove({"tests/test_a.py": code.format(body="pytest.skip()")}, base=base)

    assert len(proof.report.tests_base or ()) == 5
    assert "tests_head" not in proof.report.phases
    assert proof.report.newly_skipped == ["tests/test_a.py::TestGroup::test_inside"]
    assert proof.report.not_run_base == ("tests/test_a.py::test_expected",)
