"""Real Ansible against a server on the loopback address, whose account is a directory of the test."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.infra import ansible
from apps.infra.ansible import MARKER, Playbooks, end_survivors
from apps.infra.inventory import PlaybookJob
from apps.infra.recap import Recap
from apps.units import processes
from orchestrator.env import ROOT
from tests.ssh_server import SshServer, make_key, public_part, ssh_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLAYBOOK = """\
- hosts: servers
  gather_facts: false
  tasks:
    - name: Use our configuration
      ansible.builtin.assert: {that: ansible_config_file == expected_configuration}
    - name: Write
      ansible.builtin.copy: {content: "{{ secret }}", dest: "{{ place }}/written", mode: "0600"}
    - name: Report
      ansible.builtin.set_stats: {data: {system: Debian 12, left_out: [docker]}}
    - name: Sleep
      ansible.builtin.command: sleep {{ nap }}
      when: nap > 0
    - name: Refuse
      ansible.builtin.shell: echo "no {{ secret }}" >&2; exit 3
      when: refuses
"""
SECRET = "correct horse battery"
#: A process of ours that runs the playbook, and is killed.
RUNS = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from apps.infra.ansible import Playbooks
from apps.infra.inventory import PlaybookJob
class Watcher:
    def is_wanted(self, recap): return True
Playbooks(Path({directory!r})).run(PlaybookJob(**{fields!r}), Watcher())
"""


class Watching:
    """Wants a run to go on until a task has begun."""

    def __init__(self, until: str = "") -> None:
        self._until = until
        self.looks = 0

    def is_wanted(self, recap: Recap) -> bool:
        self.looks += 1
        return not self._until or recap.current_task != self._until


class Place:
    """A server, and how playbooks are run on it."""

    def __init__(self, server: SshServer, directory: Path) -> None:
        self.server, self.directory = server, directory
        self.marker = f"test-{os.getpid()}-{directory.name}"
        self.playbooks = Playbooks(directory / "runs")
        (directory / "book.yml").write_text(PLAYBOOK)

    def fields(self, **changes: Any) -> dict[str, Any]:
        variables = {
            "secret": SECRET,
            "place": str(self.directory),
            "expected_configuration": str(ansible.CONFIGURATION),
            **{name: changes.pop(name, usual) for name, usual in (("nap", 0), ("refuses", False))},
        }
        return {
            "playbook": str(self.directory / "book.yml"),
            "host": "127.0.0.1",
            "port": self.server.port,
            "user": "root",
            "host_key": self.server.host_key,
            "private_key": self.server.identity,
            "marker": self.marker,
            "variables": variables,
            "secrets": (SECRET,),
            **changes,
        }

    def job(self, **changes: Any) -> PlaybookJob:
        return PlaybookJob(**self.fields(**changes))

    def processes(self) -> list[int]:
        found = processes.snapshot()
        return [one.pid for one in found if processes.has_variable(one.pid, f"{MARKER}={self.marker}")]


@pytest.fixture
def place() -> Iterator[Place]:
    directory = Path(tempfile.mkdtemp(dir="/tmp", prefix="ansible-"))
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(directory)}
    try:
        with ssh_server(environment) as server:
            yield Place(server, directory)
    finally:
        shutil.rmtree(directory)


def test_a_failing_task_is_named_with_its_stderr_and_nothing_of_the_run_is_left(place: Place) -> None:
    watching = Watching()

    result = place.playbooks.run(place.job(refuses=True), watching)

    assert (result.outcome, result.recap["counts"]["changed"]) == ("failed", 1)
    assert result.failure is not None
    assert (result.failure.task, result.failure.stderr) == ("Refuse", "no ***")
    assert (place.directory / "written").read_text() == SECRET
    assert SECRET not in f"{result}"
    assert watching.looks > 0
    assert list((place.directory / "runs").iterdir()) == []
    assert place.processes() == []


def test_a_run_that_is_no_longer_wanted_ends_soon(place: Place) -> None:
    began = time.monotonic()

    result = place.playbooks.run(place.job(nap=200), Watching(until="Sleep"))

    assert result.outcome == "canceled"
    assert time.monotonic() - began < 100
    assert place.processes() == []


def test_a_run_that_takes_too_long_is_ended(place: Place) -> None:
    result = place.playbooks.run(place.job(nap=200, timeout_seconds=2), Watching())

    assert result.outcome == "timed_out"
    assert place.processes() == []


def test_a_server_with_another_host_key_is_not_logged_in_to(place: Place) -> None:
    result = place.playbooks.run(place.job(host_key=public_part(make_key())), Watching())

    assert result.outcome == "unreachable"
    assert result.failure is not None
    assert result.failure.code == "host_key_changed"
    assert place.server.commands == []


def test_what_a_killed_process_leaves_is_ended_before_the_next_run(place: Place) -> None:
    script = RUNS.format(
        root=str(ROOT), directory=str(place.directory / "runs"), fields=place.fields(nap=200)
    )
    runner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 90
    while not (place.directory / "written").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    runner.kill()
    runner.wait()

    result = place.playbooks.run(place.job(), Watching())

    assert result.outcome == "succeeded"
    assert result.facts == {"system": "Debian 12", "left_out": ["docker"]}
    assert place.processes() == []


def test_ending_what_is_not_there_is_nothing() -> None:
    assert end_survivors("nobody-has-this-marker") == 0
