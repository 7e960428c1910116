"""What a change can do inside a verification, and that it changes nothing of the report."""

import os
import signal
from pathlib import Path

import pytest

from tests.worker_image.verify.conftest import Proof, Rig, git

pytestmark = pytest.mark.service

LIMITS = {"check_seconds": 1.0}


def exit_of_check(proof: Proof) -> int | None:
    return proof.report.phases["check"].exit_code


def processes_with(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            found += [command] if word in command else []
    return found


def test_protected_files_of_the_change_have_no_effect(rig: Rig) -> None:
    easy = "setup:\n\ttrue\ncheck:\n\ttrue\ntests-list:\n\ttrue\n"

    proof = rig.prove(
        {
            "Makefile": easy,
            "GNUmakefile": easy,
            "makefile": easy,
            "run.py": None,
            "tests/test_a.py": "def test_one(): assert False\ndef test_two(): pass\n",
        }
    )

    assert proof.report.restored == ("GNUmakefile", "Makefile", "makefile", "run.py")
    assert exit_of_check(proof) != 0
    assert proof.report.tree != git(rig.place / "origin", "rev-parse", "HEAD^{tree}")


def test_committed_environment_is_not_used(rig: Rig) -> None:
    proof = rig.prove({".venv/bin/python": "#!/bin/sh\nexit 0\n"})

    assert proof.report.restored == (".venv/bin/python",)
    assert not (rig.work / "project" / ".venv" / "bin").exists()


def test_file_in_place_of_a_protected_directory_gives_way(rig: Rig) -> None:
    rig.prepare({"tools/check.sh": None}, base={"tools/check.sh": "exit 0\n"})
    rig.head_sha = rig.commit({"tools": "in the way"})
    git(rig.place / "origin", "bundle", "create", "--quiet", "../input/change.bundle", "main", "HEAD")
    rig.start(protected=["tools/check.sh"])

    proof = rig.finish()

    assert proof.report.restored == ("tools", "tools/check.sh")
    assert (rig.work / "project" / "tools" / "check.sh").read_text() == "exit 0\n"


def test_check_that_ends_early_with_success_is_seen_to_say_nothing(rig: Rig) -> None:
    proof = rig.prove({"tests/test_b.py": "import os, sys\nif '--list' not in sys.argv: os._exit(0)\n"})

    assert exit_of_check(proof) == 0
    assert proof.report.summary is None
    assert proof.report.summary_base is not None


def test_hanging_check_ends_with_everything_it_started(rig: Rig) -> None:
    marker = f"verify-grandchild-{os.getpid()}"
    hang = f"import subprocess, time\nsubprocess.Popen(['setsid', 'sh', '-c', 'sleep 100; : {marker}'])\n"

    proof = rig.prove({"tests/test_b.py": hang + "time.sleep(100)\n"}, limits=LIMITS)

    check = proof.report.phases["check"]
    assert proof.exit_code == 0
    assert (check.timed_out, check.exit_code) == (True, None)
    assert check.seconds < 3
    assert processes_with(marker) == []


def test_process_left_behind_does_not_reach_the_next_phase(rig: Rig) -> None:
    marker = f"verify-left-{os.getpid()}"
    leave = f"import subprocess\nsubprocess.Popen(['setsid', '-f', 'sh', '-c', 'sleep 100; : {marker}'])\n"

    proof = rig.prove({"tests/test_b.py": leave + "def test_new(): pass\n"})

    assert exit_of_check(proof) == 0
    assert proof.report.phases["check"].seconds < 5
    assert processes_with(marker) == []


def test_flood_of_output_is_bounded(rig: Rig) -> None:
    flood = "import sys\nfor _ in range(300): sys.stdout.write('flood ' * 20000)\nprint('the end')\n"

    proof = rig.prove({"tests/test_b.py": flood + "def test_new(): pass\n"})

    assert exit_of_check(proof) == 0
    assert proof.report.phases["check"].log_tail.endswith("the end")
    assert len(proof.content or b"") < 50_000


@pytest.mark.parametrize(
    "forge",
    [
        "pathlib.Path('../report.json').write_text('{\"version\": 1}')",
        "pathlib.Path('../report.json').symlink_to('/etc/hostname')",
        "pathlib.Path('../report.json/deep').mkdir(parents=True); os.chmod('..', 0o500)",
    ],
)
def test_report_of_the_change_is_replaced(rig: Rig, forge: str) -> None:
    proof = rig.prove({"tests/test_b.py": f"import os, pathlib\n{forge}\ndef test_new(): pass\n"})

    assert proof.exit_code == 0
    assert proof.report.head_sha == rig.head_sha
    assert not (rig.work / "report.json").is_symlink()


def test_module_planted_in_the_work_directory_is_not_imported(rig: Rig) -> None:
    plant = (
        "import pathlib\n"
        "for name in ('json', 'xml', 'secrets', 'stringprep', 'bisect'):\n"
        "    pathlib.Path(f'../{name}.py').write_text('raise SystemExit(0)')\n"
    )

    proof = rig.prove({"tests/test_b.py": plant + "def test_new(): pass\n"})

    assert proof.exit_code == 0
    assert proof.report.problem is None


def test_driver_that_is_killed_says_so_by_its_exit_code(rig: Rig) -> None:
    kill = (
        "import os, pathlib, signal\n"
        "pid = os.getppid()\n"
        "while b'worker_image.verify' not in pathlib.Path(f'/proc/{pid}/cmdline').read_bytes():\n"
        "    pid = int(pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[1])\n"
        "os.kill(pid, signal.SIGKILL)\n"
    )

    proof = rig.prove({"tests/test_b.py": kill})

    assert proof.exit_code == -signal.SIGKILL
    assert proof.content is None


def test_commands_do_not_see_what_is_about_the_driver(rig: Rig) -> None:
    show = "import os\nprint(sorted(os.environ))\n"

    proof = rig.prove({"tests/test_b.py": show + "def test_new(): assert False\n"})

    log = proof.report.phases["check"].log_tail
    assert "'PATH'" in log
    assert "INPUT_DIR" not in log
    assert "PYTHONPATH" not in log
