import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.units import toolchain
from apps.units.environment import PASSED_THROUGH, base_environment
from apps.units.reach import first_closed, is_executable
from apps.units.spec import UnitsUnavailable
from apps.units.toolchain import Toolchain

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).resolve().parents[3]
IN_A_CLOSED_CHECKOUT = """
import pathlib, sys, time
from apps.units import toolchain
from apps.units.environment import base_environment
from apps.units.spec import UnitPhase, UnitSpec
from apps.units.supervisor import Units

place = pathlib.Path(sys.argv[1])
tools = toolchain.prepare(place / "tools")
units = Units(place / "units")
environment = {**base_environment(tools, outer={}), "PYTHONPATH": str(tools.sources)}
argv = (str(tools.python), "-c", "import worker_image.worker_wrapper, os; print('imported by', os.getuid())")
units.start(UnitSpec(name="w", argv=argv, env=environment, timeout_seconds=60, stop_grace_seconds=1))
while units.inspect("w").phase is UnitPhase.RUNNING:
    time.sleep(0.01)
print(units.logs("w", tail_bytes=2000))
units.remove("w")
print(open(tools.directory / "orchestrator-worker").read())
"""


def test_unit_finds_its_tools_on_the_path(units, make_spec, finished, place):
    tools = toolchain.prepare(place / "bin")
    script = (
        "uv --version; python3 -c 'import sys; print(sys.version_info >= (3, 11))'; command -v orchestrator"
    )
    units.start(make_spec("user", script, env=base_environment(tools, outer={})))

    finished("user")

    log = units.logs("user", tail_bytes=2000).splitlines()
    assert log[0].startswith("uv ")
    assert log[1:] == ["True", str(place / "bin" / "orchestrator")]


def test_project_cannot_shadow_what_our_command_imports(units, make_spec, finished, place):
    tools = toolchain.prepare(place / "bin")
    script = "echo 'raise SystemExit(9)' | tee httpx.py > typing.py; orchestrator --help >help && echo usable"
    units.start(make_spec("shadow", script, env=base_environment(tools, outer={})))

    finished("shadow")

    assert units.logs("shadow", tail_bytes=2000) == "usable\n"


def test_our_own_code_runs_in_a_unit(units, make_spec, finished, place):
    tools = toolchain.prepare(place / "bin")
    argv = (str(tools.python), "-c", "import worker_image.contract; print('imported')")
    environment = {**base_environment(tools, outer={}), "PYTHONPATH": str(tools.sources)}
    units.start(make_spec("wrapper", argv=argv, env=environment))

    finished("wrapper")

    assert units.logs("wrapper", tail_bytes=2000) == "imported\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="for ourselves everything of ours is reachable")
def test_worker_of_a_checkout_in_a_closed_home_finds_its_code(place):
    home = place / "home"
    home.mkdir(mode=0o700)
    for package in ("apps/units", "worker_image"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / package, home / package, ignore=ignored)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(REPOSITORY / "apps" / name, home / "apps" / name)
    argv = [sys.executable, "-c", IN_A_CLOSED_CHECKOUT, str(place)]

    run = subprocess.run(
        argv, cwd=home, env={"PYTHONPATH": str(home), "PATH": os.defpath}, capture_output=True, text=True
    )

    assert run.stderr == ""
    assert run.stdout.startswith("imported by 6")
    assert str(home) not in run.stdout


def test_preparing_again_repairs_and_otherwise_changes_nothing(place):
    toolchain.prepare(place / "bin")
    (place / "bin" / "uv").unlink()
    untouched = os.lstat(place / "bin" / "orchestrator")

    toolchain.prepare(place / "bin")

    assert (place / "bin" / "uv").exists()
    assert os.lstat(place / "bin" / "orchestrator") == untouched
    names = sorted(entry.name for entry in (place / "bin").iterdir())
    assert names == ["orchestrator", "orchestrator-worker", "python", "python3", "uv"]


@pytest.mark.skipif(os.geteuid() != 0, reason="for ourselves everything of ours is reachable")
def test_unreachable_tools_are_refused_with_the_repair(place):
    closed = place / "home"
    closed.mkdir(mode=0o700)

    with pytest.raises(UnitsUnavailable, match=f"chmod o\\+x {closed}"):
        toolchain.prepare(closed / "bin")


def test_environment_takes_over_only_what_installers_need(place):
    tools = toolchain.prepare(place / "bin")
    outer = {
        "SECRET_KEY": "sesame",
        "HOME": "/somewhere",
        "SSL_CERT_FILE": "/ca.pem",
        "HTTPS_PROXY": "proxy:1",
    }

    environment = base_environment(tools, outer=outer)

    assert environment["SSL_CERT_FILE"] == "/ca.pem"
    assert environment["HTTPS_PROXY"] == "proxy:1"
    assert environment["PATH"].startswith(f"{place / 'bin'}:")
    assert not {"SECRET_KEY", "HOME"} & environment.keys()
    assert not {"DATABASE_URL", "REDIS_URL", "ANTHROPIC_API_KEY"} & PASSED_THROUGH


def test_way_to_a_file_is_judged_by_its_closed_directories(place):
    (place / "open").mkdir(mode=0o755)
    (place / "open" / "shut").mkdir(mode=0o700)
    tool = place / "open" / "shut" / "tool"
    tool.touch()
    tool.chmod(0o755)

    assert first_closed(tool.parent, 64990) == tool.parent
    assert first_closed(place / "open", 64990) is None
    assert not is_executable(tool, 64990)
    tool.parent.chmod(0o711)
    assert is_executable(tool, 64990)


def test_operators_tools_are_found_after_ours_and_before_the_systems(tmp_path: Path) -> None:
    tools = Toolchain(directory=tmp_path, python=tmp_path, sources=tmp_path, extra=("/opt/agents/bin",))

    path = base_environment(tools, outer={})["PATH"]

    assert path == f"{tmp_path}:/opt/agents/bin:/usr/local/bin:/usr/bin:/bin"
