"""Runs playbooks: the only place that knows ansible-runner.

A run's processes carry its marker in their environment and its first one dies
with us. So whoever comes next finds what a killed process of ours left behind,
and ends it before a playbook is begun beside it.
"""

import contextlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final, Protocol

import ansible_runner
from ansible_runner.exceptions import AnsibleRunnerException

from apps.errors import OrchestratorError, Unavailable
from apps.infra import inventory
from apps.infra.inventory import Files, PlaybookJob
from apps.infra.recap import PlaybookOutcome, PlaybookResult, Recap, masked
from apps.units import processes

logger = logging.getLogger(__name__)

PLAYBOOKS: Final = Path(__file__).resolve().parent / "playbooks"
CONFIGURATION: Final = PLAYBOOKS / "ansible.cfg"
MARKER: Final = "CODEGEN_PROVISIONING"
_OUTPUT_CHARACTERS: Final = 8_000
_POLL_SECONDS: Final = 1
_END_SECONDS: Final = 10.0
#: What Ansible needs of our environment; the rest of it is secrets.
_PASSED: Final = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
#: Dies with the process that started it, whatever ended that one (PR_SET_PDEATHSIG), and then is Ansible.
_LAUNCH: Final = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))\n"
    "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)
#: ansible-playbook's own: a host did not answer; tasks failed on hosts that did.
_FAILED_CODE, _UNREACHABLE_CODE = 2, 4


class Survivors(Unavailable):
    """Processes of an earlier playbook on this server do not end."""

    code = "playbook_survives"


class AnsibleMissing(OrchestratorError):
    """Ansible or the ssh client is not installed beside this process."""

    code = "ansible_missing"


class Watcher(Protocol):
    """Follows a run; asked about once a second."""

    def is_wanted(self, recap: Recap) -> bool:
        """Take note of how far it is, and say whether it shall go on."""


class Playbooks:
    """Runs playbooks below one directory.

    Args:
        directory: made if needed; each server's run has a private directory in it, which is gone afterwards.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def run(self, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
        """Run a playbook to its end and return what became of it.

        The caller sees to it that one server has one run at a time.

        Raises:
            AnsibleMissing: it cannot be started here.
            Survivors: what an earlier run left behind does not end.
        """
        if shutil.which("ssh") is None or not _program().exists():
            raise AnsibleMissing()
        end_survivors(job.marker)
        files = Files(root=self._directory / job.marker)
        shutil.rmtree(files.root, ignore_errors=True)
        files.root.mkdir(mode=0o700, parents=True)
        try:
            inventory.write(files, job)
            return _run(files, job, watcher)
        finally:
            # The connection's master outlives Ansible on purpose, and us it must not.
            with contextlib.suppress(Survivors):
                end_survivors(job.marker)
            shutil.rmtree(files.root, ignore_errors=True)


def end_survivors(marker: str) -> int:
    """End every process of runs with a marker; returns how many there were.

    Raises:
        Survivors: some did not end in time.
    """
    assignment, found = f"{MARKER}={marker}", 0
    until = time.monotonic() + _END_SECONDS
    while alive := [one for one in processes.snapshot() if _is_of(one, assignment)]:
        if time.monotonic() > until:
            raise Survivors(details={"pids": [one.pid for one in alive]})
        found = max(found, len(alive))
        for one in alive:
            processes.send_exactly(one.pid, one.start_ticks, SIGKILL)
        time.sleep(0.02)
    if found:
        logger.warning("Ended %s processes of an earlier playbook (%s)", found, marker)
    return found


def _is_of(one: processes.Stat, assignment: str) -> bool:
    return one.is_alive and one.pid != os.getpid() and processes.has_variable(one.pid, assignment)


def _run(files: Files, job: PlaybookJob, watcher: Watcher) -> PlaybookResult:
    secrets = (*job.secrets, job.private_key)
    recap = Recap(secrets)

    def take(event: dict[str, Any]) -> bool:
        recap.feed(event)
        return False  # not to be stored: what a module answers may hold anything

    try:
        runner = ansible_runner.interface.init_runner(
            **_arguments(files, job),
            event_handler=take,
            cancel_callback=lambda: not watcher.is_wanted(recap),
        )
        home = files.root / "home"
        home.mkdir(mode=0o700)
        runner.config.env = environment_of(runner.config.env, home=home, marker=job.marker)
        runner.config.command = [
            *(sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid())),
            *(sys.executable, str(_program()), *runner.config.command[1:]),
        ]
        runner.run()
    except (AnsibleRunnerException, OSError) as error:
        logger.exception("A playbook could not be run")
        broken = masked(str(error), secrets)
        return PlaybookResult(outcome=PlaybookOutcome.BROKEN, recap=recap.as_json(), output=broken)
    return PlaybookResult(
        outcome=_outcome_of(runner, recap),
        recap=recap.as_json(),
        failure=recap.failure,
        facts=recap.facts,
        output=_output_of(runner, secrets),
    )


def _outcome_of(runner: Any, recap: Recap) -> PlaybookOutcome:
    if runner.status == "canceled":
        return PlaybookOutcome.CANCELED
    if runner.status == "timeout":
        return PlaybookOutcome.TIMED_OUT
    if recap.was_unreachable or runner.rc == _UNREACHABLE_CODE:
        return PlaybookOutcome.UNREACHABLE
    if runner.rc == _FAILED_CODE and recap.failure is not None:
        return PlaybookOutcome.FAILED
    # A playbook that met no host ends well, too, by its own lights.
    is_well = runner.rc == 0 and recap.is_complete
    return PlaybookOutcome.SUCCEEDED if is_well else PlaybookOutcome.BROKEN


def _output_of(runner: Any, secrets: tuple[str, ...]) -> str:
    try:
        text = Path(runner.config.artifact_dir, "stdout").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return masked(text, secrets)[-_OUTPUT_CHARACTERS:]


def _arguments(files: Files, job: PlaybookJob) -> dict[str, Any]:
    return {
        "private_data_dir": str(files.root),
        "project_dir": str(PLAYBOOKS),
        "playbook": str(PLAYBOOKS / job.playbook),
        "inventory": str(files.inventory),
        "ident": "run",
        "cmdline": "--check" if job.is_check else None,
        "timeout": int(job.timeout_seconds),
        "settings": {"pexpect_timeout": _POLL_SECONDS},
        "quiet": True,
        "envvars": {"ANSIBLE_HOST_KEY_CHECKING": "True"},
    }


def environment_of(prepared: Mapping[str, str], *, home: Path, marker: str) -> dict[str, str]:
    """Return Ansible's whole environment: a few of our variables, ansible-runner's, and ours for it.

    Args:
        prepared: ansible-runner's, which holds all of ours; what Ansible would obey of these is left out.
        home: an empty directory.
        marker: of the run.
    """
    theirs = {
        name: value
        for name, value in prepared.items()
        if name.startswith(("ANSIBLE_", "AWX_")) and os.environ.get(name) != value
    }
    return {
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
        **theirs,
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(CONFIGURATION),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        MARKER: marker,
    }


def _program() -> Path:
    return Path(sys.executable).parent / "ansible-playbook"
