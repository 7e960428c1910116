"""What projects keep on a server, archived and brought back by the program itself."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apps.infra.server_backup import processes

ROOT = Path(__file__).resolve().parents[4]
pytestmark = pytest.mark.unit

#: Says what it was told, and knows one volume and one container of the project books.
DOCKER = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/told"
case "$1 $2" in
"volume ls") echo books_db-data ;;
"volume inspect") echo "$VOLUME" ;;
"ps --quiet") echo c0ffee ;;
"info "*) exit 1 ;;
esac
"""


@dataclass
class Host:
    """A server's directories, and its command."""

    place: Path
    path: str = "/usr/bin:/bin"

    @property
    def data(self) -> Path:
        return self.place / "projects" / "books" / "data"

    @property
    def archives(self) -> Path:
        return self.place / "archives" / "books"

    @property
    def volume(self) -> Path:
        return self.place / "volume"

    def environment(self) -> dict[str, str]:
        return {
            "CODEGEN_BACKUP_SETTINGS": str(self.place / "settings.json"),
            "PYTHONPATH": str(ROOT),
            "PATH": self.path,
            "VOLUME": str(self.volume),
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-B", "-m", "apps.infra.server_backup", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def tell(self, *words: str) -> Any:
        return json.loads(self.run(*words).stdout)["projects"]

    def have_docker(self, script: str = DOCKER) -> Path:
        tools = self.place / "tools"
        tools.mkdir()
        (tools / "docker").write_text(script)
        (tools / "docker").chmod(0o755)
        self.path = f"{tools}:{self.path}"
        return tools / "told"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    (tmp_path / "archives").mkdir()
    host.data.mkdir(parents=True)
    (host.data / "books.sqlite").write_bytes(b"ten books" * 1000)
    (host.data / "covers").mkdir()
    (host.data / "covers" / "1.png").write_bytes(b"\x89PNG")
    (host.data / "latest").symlink_to("covers/1.png")
    places = {name: f"{tmp_path}/{name}" for name in ("projects", "services", "archives")}
    settings = {**places, "keep": 2}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    return host


def test_an_archive_is_private_and_its_drill_finds_all_of_it(host: Host) -> None:
    made, tried = host.tell("run")["books"], host.tell("drill")["books"]

    assert (made["outcome"], made["files"]) == ("archived", 2)
    assert (tried["outcome"], tried["archive"], tried["files"]) == ("restored", made["archive"], 2)
    assert sorted(path.suffix for path in host.archives.iterdir()) == [".gz", ".json"]
    assert {path.stat().st_mode & 0o777 for path in host.archives.iterdir()} == {0o600}


@pytest.mark.parametrize("place", [40, -40])
def test_a_damaged_archive_fails_its_drill(host: Host, place: int) -> None:
    name = host.tell("run")["books"]["archive"]
    content = bytearray((host.archives / name).read_bytes())
    content[place] ^= 0xFF
    (host.archives / name).write_bytes(content)

    done = host.run("drill")

    assert done.returncode == 1
    assert json.loads(done.stdout)["projects"]["books"]["outcome"] == "failed"
    assert sorted(path.suffix for path in host.archives.iterdir()) == [".gz", ".json"]


def test_an_archive_that_restores_to_something_else_is_a_mismatch(host: Host) -> None:
    name = host.tell("run")["books"]["archive"]
    note = host.archives / name.replace(".tar.gz", ".json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "tree": "0" * 64}))

    tried = host.tell("drill")["books"]

    assert tried["outcome"] == "mismatch"


def test_a_project_that_was_never_archived_is_archived_by_its_drill(host: Host) -> None:
    tried = host.tell("drill")["books"]

    assert tried["outcome"] == "restored"
    assert host.tell("list")["books"]["archives"] == [tried["archive"]]


def test_a_project_without_data_is_not_an_archive_of_nothing(host: Host) -> None:
    (host.place / "projects" / "pages" / "releases").mkdir(parents=True)

    results = host.tell("run")

    assert results["pages"] == {"outcome": "nothing"}
    assert not (host.place / "archives" / "pages").exists()


def test_only_the_newest_archives_are_kept(host: Host) -> None:
    names = [host.tell("run")["books"]["archive"] for _ in range(3)]
    (host.archives / ".drill-of-a-killed-one").mkdir()
    host.tell("run")

    kept = host.tell("list")["books"]["archives"]

    assert len(kept) == 2
    assert names[2] in kept
    assert len(list(host.archives.iterdir())) == 4


def test_what_was_lost_comes_back_and_what_was_there_is_archived_before(host: Host) -> None:
    first = host.tell("run")["books"]["archive"]
    (host.data / "books.sqlite").write_bytes(b"no books")
    (host.data / "covers" / "1.png").unlink()
    (host.data / "stray").write_bytes(b"?")

    told = host.tell("restore", "books", first)["books"]

    assert (told["outcome"], told["archive"]) == ("restored", first)
    assert (host.data / "books.sqlite").read_bytes() == b"ten books" * 1000
    assert (host.data / "latest").read_bytes() == b"\x89PNG"
    assert not (host.data / "stray").exists()
    again = host.tell("restore", "books", told["before"])["books"]
    assert again["outcome"] == "restored"
    assert (host.data / "books.sqlite").read_bytes() == b"no books"


def test_volumes_are_archived_while_their_containers_are_paused(host: Host) -> None:
    host.volume.mkdir()
    (host.volume / "PG_VERSION").write_bytes(b"17")
    told = host.have_docker()

    made = host.tell("run")["books"]

    assert made["files"] == 3
    deeds = [line.split()[0] for line in told.read_text().splitlines() if line.endswith("c0ffee")]
    assert deeds == ["pause", "unpause"]
    assert not (host.place / "archives" / ".paused").exists()


def test_containers_that_a_killed_process_paused_go_on(host: Host) -> None:
    told = host.have_docker()
    (host.place / "archives" / ".paused").write_text("deadbeef")

    host.run("list")

    assert "unpause deadbeef" in told.read_text().splitlines()


def test_a_docker_that_does_not_answer_is_a_failure_and_not_an_empty_project(host: Host) -> None:
    host.have_docker("#!/bin/sh\necho 'Cannot connect to the daemon' >&2; exit 1\n")

    done = host.run("run")

    told = json.loads(done.stdout)["projects"]["books"]
    assert (done.returncode, told["outcome"]) == (1, "failed")
    assert "Cannot connect" in told["error"]


@pytest.fixture
def deep(host: Host) -> Iterator[None]:
    """More directories in each other than Python has frames, also for whoever clears up."""
    place = host.data
    for _ in range(1_200):
        place = place / "a"
        place.mkdir()
    (place / "note").write_bytes(b"deep")
    yield
    subprocess.run(["rm", "-rf", host.place], check=True)


@pytest.mark.usefixtures("deep")
def test_directories_in_each_other_are_archived_however_many(host: Host) -> None:
    made, tried = host.tell("run")["books"], host.tell("drill")["books"]

    assert (made["outcome"], made["files"], tried["outcome"]) == ("archived", 3, "restored")
    assert sorted(path.suffix for path in host.archives.iterdir()) == [".gz", ".json"]


def test_a_note_without_its_fields_fails_its_project_and_no_other(host: Host) -> None:
    (host.place / "projects" / "annals" / "data").mkdir(parents=True)
    name = host.tell("run")["annals"]["archive"]
    (host.place / "archives" / "annals" / name.replace(".tar.gz", ".json")).write_text("{}")

    done = host.run("drill")

    told = json.loads(done.stdout)["projects"]
    assert (done.returncode, told["annals"]["outcome"], told["books"]["outcome"]) == (1, "failed", "restored")
    assert told["annals"]["error"] == "KeyError: 'made_at'"


@pytest.mark.parametrize("words", [("restore", "../etc"), ("restore", "books"), ("restore", "books", "x")])
def test_what_is_not_there_is_not_restored(host: Host, words: tuple[str, ...]) -> None:
    done = host.run(*words)

    assert done.returncode == 1
    assert done.stderr.startswith("codegen-backup: ")
    assert (host.data / "books.sqlite").exists()


def test_a_link_in_place_of_the_data_is_not_followed(host: Host) -> None:
    outside = host.place / "outside"
    os.rename(host.data, outside)
    host.data.symlink_to(outside)

    assert host.tell("run")["books"] == {"outcome": "nothing"}


@pytest.fixture
def service(host: Host) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a project that keeps its data here, started by the control plane."""
    kept = host.place / "services" / "books" / "backend"
    kept.mkdir(parents=True)
    (kept / "notes.sqlite").write_bytes(b"ten notes")
    with subprocess.Popen(["sleep", "60"], env={"DATA_DIR": str(kept)}) as process:
        yield process
        process.kill()


def test_processes_are_held_while_their_data_are_read_and_go_on(host: Host, service: Any) -> None:
    made = host.tell("run")["books"]

    assert made["files"] == 3
    assert host.tell("drill")["books"]["outcome"] == "restored"
    assert service.poll() is None
    assert Path(f"/proc/{service.pid}/stat").read_text().split()[2] == "S"


def test_processes_that_a_killed_one_held_go_on(host: Host, service: Any) -> None:
    (token,) = processes.holders(host.place / "services" / "books")
    processes.tell([token], signal.SIGSTOP)
    (host.place / "archives" / ".paused").write_text(token)

    host.run("list")

    assert Path(f"/proc/{service.pid}/stat").read_text().split()[2] in "SR"


def state_of(process: "subprocess.Popen[bytes]") -> str:
    """What the kernel says of a process: T if it is held."""
    return Path(f"/proc/{process.pid}/stat").read_text().split()[2]


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def endless(host: Host) -> None:
    """Data that take longer to read than any test: holes are fast to make and slow to pack."""
    with (host.data / "endless").open("wb") as file:
        file.truncate(3 << 30)


@pytest.mark.usefixtures("endless")
def test_what_is_held_goes_on_when_the_program_is_killed(host: Host, service: Any) -> None:
    told = host.have_docker()
    host.volume.mkdir()
    program = subprocess.Popen(host.command("run"), env=host.environment(), start_new_session=True)
    wait_for(lambda: state_of(service) == "T")

    program.kill()
    program.wait(20)

    wait_for(lambda: not (host.place / "archives" / ".paused").exists())
    deeds = [line for line in told.read_text().splitlines() if line.endswith("c0ffee")]
    assert (state_of(service) in "SR", deeds) == (True, ["pause c0ffee", "unpause c0ffee"])


@pytest.mark.usefixtures("endless")
def test_a_project_is_held_no_longer_than_allowed_and_has_no_archive_then(host: Host, service: Any) -> None:
    (host.place / "projects" / "annals" / "data").mkdir(parents=True)
    settings = host.place / "settings.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "freeze_seconds": 1}))

    done = host.run("run")

    told = json.loads(done.stdout)["projects"]
    assert (done.returncode, told["annals"]["outcome"], told["books"]["outcome"]) == (1, "archived", "failed")
    assert "held for more than 1 s" in told["books"]["error"]
    assert (state_of(service) in "SR", list(host.archives.iterdir())) == (True, [])


def test_cron_tells_that_it_failed_and_how(tmp_path: Path) -> None:
    role = ROOT / "apps" / "infra" / "playbooks" / "roles" / "backups" / "tasks" / "main.yml"
    (line,) = [each for each in role.read_text().splitlines() if "codegen-backup run" in each]
    programs = {"codegen-backup": "echo {}; exit 3", "logger": f'echo "$@" >>{tmp_path}/log'}
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    command = line.partition(" root ")[2]
    done = subprocess.run(["bash", "-c", command], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)

    assert done.returncode == 3
    assert "-t codegen-backup -p cron.err Failed with exit code 3" in (tmp_path / "log").read_text()


def test_processes_end_when_their_data_were_replaced(host: Host, service: Any) -> None:
    host.tell("run")
    kept = host.place / "services" / "books" / "backend" / "notes.sqlite"
    kept.write_bytes(b"no notes")

    host.tell("restore", "books")

    assert kept.read_bytes() == b"ten notes"
    assert service.wait(10) == -signal.SIGKILL
