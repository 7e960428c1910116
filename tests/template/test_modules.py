"""Every choice of modules gives a whole project: described, set up, linted, tested and run.

`make modules` runs the own tests of all fifteen choices; every other run does it for six of them.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest

from apps.projects.manifest import Manifest, parse_manifest
from apps.projects.templating import known_modules
from tests.template.projects import COMBINATIONS, create_project, make
from tests.template.service import running
from worker_image.rehearsal import agent

KINDS = {"backend": "web", "frontend": "web", "telegram": "bot", "worker": "worker"}
ALL = known_modules()


def _named(modules: tuple[str, ...]) -> str:
    return "-".join(modules)


@pytest.fixture(scope="module")
def rendered() -> Iterator[dict[tuple[str, ...], Path]]:
    """Every choice of modules as a project; those with packages share one environment."""
    directory = Path(mkdtemp(dir="/tmp", prefix="modules-"))
    projects = {
        modules: create_project(directory / _named(modules), "a thing", modules=modules)
        for modules in COMBINATIONS
    }
    yield projects
    rmtree(directory)


def _manifest(project: Path) -> Manifest:
    return parse_manifest((project / "project.yaml").read_bytes())


@pytest.mark.unit
@pytest.mark.parametrize("modules", COMBINATIONS, ids=_named)
def test_manifest_names_one_service_per_module(
    rendered: dict[tuple[str, ...], Path], modules: tuple[str, ...]
) -> None:
    expected = {name: KINDS[name] for name in modules}
    if "backend" in modules:
        expected.pop("frontend", None)  # the backend serves the pages

    manifest = _manifest(rendered[modules])

    assert {service.name: service.kind for service in manifest.services} == expected
    assert manifest.modules == modules
    for service in manifest.services:
        assert service.run == f"make run-{service.name}"


@pytest.mark.unit
@pytest.mark.parametrize("modules", COMBINATIONS, ids=_named)
def test_makefile_has_every_command_of_the_manifest(
    rendered: dict[tuple[str, ...], Path], modules: tuple[str, ...]
) -> None:
    manifest = _manifest(rendered[modules])
    commands = [manifest.commands.setup, manifest.commands.check, manifest.commands.tests]
    commands += [service.run for service in manifest.services]

    plans = {command: _planned(rendered[modules], command) for command in commands}

    assert all(plans.values())


def _planned(project: Path, command: str) -> str:
    done = subprocess.run(
        [*command.split(), "--dry-run"], cwd=project, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.unit
@pytest.mark.parametrize("modules", COMBINATIONS, ids=_named)
def test_project_has_no_lint(rendered: dict[tuple[str, ...], Path], modules: tuple[str, ...]) -> None:
    ruff = [str(Path(sys.executable).parent / "ruff")]

    checked = subprocess.run(
        [*ruff, "check", "--no-cache", "."], cwd=rendered[modules], capture_output=True, text=True
    )
    formatted = subprocess.run(
        [*ruff, "format", "--no-cache", "--diff", "."], cwd=rendered[modules], capture_output=True, text=True
    )

    assert checked.returncode == 0, checked.stdout
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.unit
def test_modules_that_were_not_chosen_leave_nothing_behind(rendered: dict[tuple[str, ...], Path]) -> None:
    own = {"backend": "app", "telegram": "bot", "worker": "worker", "frontend": "frontend"}

    for modules, project in rendered.items():
        there = {name for name, directory in own.items() if (project / directory).exists()}
        lists = {path.stem for path in (project / "requirements").glob("*.txt")} - {"tests"}

        assert there == set(modules)
        assert lists == set(modules) - {"worker"}  # which needs no package


@pytest.mark.unit
def test_rehearsal_agent_says_that_it_needs_a_backend(
    rendered: dict[tuple[str, ...], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    project = rendered[("telegram", "worker")]

    agent.run("an inventory of books with title and author", project)

    assert '"reason": "backend_missing"' in capsys.readouterr().out
    assert not (project / "app").exists()


@pytest.mark.unit
def test_lists_of_packages_agree(rendered: dict[tuple[str, ...], Path]) -> None:
    pins: dict[str, set[str]] = {}
    for path in (rendered[ALL] / "requirements").glob("*.txt"):
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(version)

    assert {name for name, versions in pins.items() if len(versions) > 1} == set()


def _checked() -> list[tuple[str, ...]]:
    """Return the choices whose own tests are run: all, or each module once alone and once in company."""
    if os.environ.get("TEMPLATE_MATRIX") == "all":
        return list(COMBINATIONS)
    return [
        chosen for chosen in COMBINATIONS if len(chosen) in (1, len(ALL)) or chosen == ("backend", "frontend")
    ]


@pytest.mark.integration
@pytest.mark.parametrize("modules", _checked(), ids=_named)
def test_project_sets_itself_up_and_passes_its_own_tests(
    rendered: dict[tuple[str, ...], Path], modules: tuple[str, ...]
) -> None:
    project = rendered[modules]
    status = ["git", "status", "--porcelain"]

    made = make(project, "setup")
    checked = make(project, "check")
    listed = make(project, "tests-list")

    assert made.returncode == 0, made.stderr
    assert checked.returncode == 0, checked.stdout
    assert f"{len(listed.stdout.splitlines())} passed" in checked.stdout
    assert subprocess.run(status, cwd=project, check=True, capture_output=True, text=True).stdout == ""


@pytest.mark.integration
def test_project_sets_itself_up_without_uv(rendered: dict[tuple[str, ...], Path]) -> None:
    project = rendered[("telegram",)]
    rmtree(project / ".venv", ignore_errors=True)

    made = make(project, "setup", with_uv=False)
    imported = subprocess.run([".venv/bin/python", "-c", "import telegram, pytest"], cwd=project)

    assert made.returncode == 0, made.stderr
    assert imported.returncode == 0


@pytest.mark.integration
@pytest.mark.parametrize(
    ("modules", "service"), [(("backend", "frontend"), "backend"), (("frontend",), "frontend")]
)
def test_pages_are_at_the_address_of_the_project(
    rendered: dict[tuple[str, ...], Path], tmp_path: Path, modules: tuple[str, ...], service: str
) -> None:
    assert make(rendered[modules], "setup").returncode == 0

    with running(rendered[modules], tmp_path, service=service) as client:
        page = client.get("/")
        script = client.get("/main.js")

    assert (page.status_code, script.status_code) == (200, 200)
    assert "<title>Rendered</title>" in page.text


@pytest.mark.integration
@pytest.mark.parametrize("service", ["telegram", "worker"])
def test_service_without_an_address_shows_a_sign_of_life(
    rendered: dict[tuple[str, ...], Path], tmp_path: Path, service: str
) -> None:
    project = rendered[(service,)]
    assert make(project, "setup").returncode == 0
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "APP_ENV": "development"}
    command = ["make", "--no-print-directory", f"run-{service}"]

    process = subprocess.Popen(command, cwd=project, env=environment, start_new_session=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "heartbeat").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGTERM)

    process.wait(timeout=20)
    assert (tmp_path / "heartbeat").exists()
