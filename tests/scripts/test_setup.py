"""The set-up of a fresh machine, as far as it can be tried without one."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.unit

CONTRACT = (
    *("demo", "test", "up", "down", "test-unit", "test-service", "test-integration", "test-e2e"),
    *("hooks", "lint", "bench", "chaos"),
)


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "setup.py"), run_name="setup")


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    # Neither this machine's nor this user's pip files.
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return monkeypatch


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)


def test_uv_is_pinned_with_hashes(script: dict[str, Any]) -> None:
    version, requirement = script["pinned_uv"]()

    assert requirement.startswith(f"uv=={version} ")
    assert requirement.count("--hash=sha256:") > 5
    assert requirement.count("==") == 1


def test_registry_of_pip_is_handed_to_uv(
    script: dict[str, Any], clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv("PIP_INDEX_URL", "https://registry.example/simple")
    clean_environment.setenv("PIP_EXTRA_INDEX_URL", "file:///one  file:///two")

    found = script["index_configuration"]()

    assert found == {
        "UV_DEFAULT_INDEX": "https://registry.example/simple",
        "UV_INDEX": "file:///one file:///two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_registry_of_uv_wins(script: dict[str, Any], clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("PIP_INDEX_URL", "https://registry.example/simple")
    clean_environment.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")

    found = script["index_configuration"]()

    assert found == {}


def test_nothing_configured_means_the_tools_defaults(
    script: dict[str, Any], clean_environment: pytest.MonkeyPatch
) -> None:
    found = script["index_configuration"]()

    assert found == {}


def test_pip_files_are_read_too(
    script: dict[str, Any], clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://registry.example/simple\n")
    clean_environment.setenv("PIP_CONFIG_FILE", str(config))
    has_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0

    found = script["index_configuration"]()

    assert found == ({"UV_DEFAULT_INDEX": "https://registry.example/simple"} if has_pip else {})


def test_environment_of_another_place_is_not_usable(script: dict[str, Any], tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).parent}\n")
    (venv / "bin" / "python").touch()
    usable = script["is_usable"](venv)
    (venv / "bin" / "celery").write_text("#!/elsewhere/.venv/bin/python\n")

    moved = script["is_usable"](venv)

    assert usable
    assert not moved


def test_found_interpreter_is_new_enough() -> None:
    result = subprocess.run([ROOT / "scripts" / "find-python"], capture_output=True, text=True)

    version = subprocess.run(
        [result.stdout.strip(), "-c", "import sys; print(sys.version_info >= (3, 11))"],
        capture_output=True,
        text=True,
    )
    assert version.stdout == "True\n"


def test_no_interpreter_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("#!/bin/sh\nexit 20\n")
    (tmp_path / "old").chmod(0o755)
    text = (ROOT / "scripts" / "find-python").read_text().replace("/usr/bin/python", "/nowhere/python")
    text = text.replace("/usr/local/bin/python", "/nowhere/python")

    result = subprocess.run(
        ["/bin/sh", "-c", text], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )

    assert result.returncode == 1
    assert "Python 3.11 or newer is needed" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has workers with uids of their own")
def test_interpreter_that_workers_cannot_reach_is_taken_with_a_true_warning(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\necho /closed/python3\nexit 10\n")
    (tmp_path / "python3").chmod(0o755)
    (tmp_path / "id").symlink_to(str(shutil.which("id")))
    text = (ROOT / "scripts" / "find-python").read_text().replace("/bin/python", "/nowhere/python")

    result = subprocess.run(
        ["/bin/sh", "-c", text], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )

    assert (result.returncode, result.stdout) == (0, "/closed/python3\n")
    assert "workers have uids of their own and cannot start with it" in result.stderr


def test_make_lists_every_promised_target() -> None:
    listing = make().stdout

    missing = [target for target in CONTRACT if f"make {target} " not in listing]

    assert missing == []


def test_unknown_app_is_refused() -> None:
    result = make("--dry-run", "test-unit", "APP=nonsense")

    assert result.returncode == 2
    assert "there are no tests of APP=nonsense" in result.stderr


def test_description_reaches_the_demo_as_typed(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "find-python").write_text("#!/bin/sh\necho true\n")
    (tmp_path / "scripts" / "find-python").chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\n')
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    sentence = """склад "книг" $(touch x) `touch y` $HOME's; #1"""

    result = make("demo", f"DESCRIPTION={sentence}", "KEEP=1", cwd=tmp_path)

    assert result.stdout.splitlines() == ["[manage.py]", "[demo]", "[--keep]", "[--]", f"[{sentence}]"]
    assert not (tmp_path / "x").exists()


def test_hosts_of_the_configured_registries_are_known_without_paths_or_passwords(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    registries = runpy.run_path(str(ROOT / "scripts" / "registries.py"))
    clean_environment.setenv("UV_INDEX", "https://user:secret@mirror.corp:8443/simple file:///opt/x")
    clean_environment.setenv("PATH", os.devnull)

    hosts = registries["registry_hosts"]({"UV_DEFAULT_INDEX": "http://index.corp/simple"})

    assert {"index.corp", "mirror.corp:8443"} <= set(hosts)
    assert not [host for host in hosts if "secret" in host or "/" in host]
