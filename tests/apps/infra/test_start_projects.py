"""Which containers a recovery starts, told by a Docker that only writes down what it was asked."""

import subprocess
from pathlib import Path

import pytest

from apps.infra.ansible import PLAYBOOKS

pytestmark = pytest.mark.unit

SCRIPT = PLAYBOOKS / "roles" / "projects" / "files" / "start_projects.sh"
#: Two have ended: a service and a migration; one runs and is unwell.
DOCKER = """\
#!/bin/sh
echo "$*" >> "$TOLD"
case "$*" in
    ps\\ --all*project=shop\\ *) echo web1; echo migration1 ;;
    ps\\ --quiet*project=shop\\ *unhealthy) echo sick1 ;;
    inspect*web1) echo unless-stopped ;;
    inspect*migration1) echo no ;;
    start*broken*) exit 1 ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    program = tmp_path / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    return tmp_path


def start(place: Path, *projects: str) -> tuple[str, list[str]]:
    told = place / "told"
    told.touch()
    done = subprocess.run(
        ["sh", str(SCRIPT), *projects],
        env={"PATH": f"{place}:/usr/bin:/bin", "TOLD": str(told)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    deeds = [line for line in told.read_text().splitlines() if line.startswith(("start", "restart"))]
    return done.stdout, deeds


def test_what_should_run_is_started_and_a_migration_is_not(docker: Path) -> None:
    said, deeds = start(docker, "shop")

    assert deeds == ["start web1", "restart sick1"]
    assert said.splitlines() == ["started shop web1", "started shop sick1"]


def test_projects_that_were_not_named_are_left_alone(docker: Path) -> None:
    assert start(docker, "other", "shop-2") == ("", [])
    assert start(docker) == ("", [])
