"""The deploy target on a server reached by SSH: jobs run there under a keeper of their own.

Nothing of a job hangs on the connection that began it: it is cut, we die, the
server's network is away for a while, and the next look finds the job by its
name. Names are derived by the caller, words on the command line are names, and
everything else (variables, scripts, files) goes through the input.
"""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from apps.errors import Unavailable
from apps.infra.targets import ssh, trees
from apps.infra.targets.base import Job, JobPhase, JobState, Release, TargetUnavailable
from apps.infra.targets.ssh import SshAccess

_PROGRAM: Final = Path(__file__).with_name("on_server.py")
_PHASES: Final = {"running": JobPhase.RUNNING, "exited": JobPhase.EXITED, "lost": JobPhase.LOST}
#: The files of a release may be large, and the way to the server thin; all of a step is one Celery task.
_SECONDS, _BEGIN_SECONDS = 20.0, 75.0
#: Whole under its name or not there; one of another version stays for the jobs that it keeps.
_PLACE: Final = (
    'set -eu; umask 077; mkdir -p "$HOME/.codegen"; new="$HOME/.codegen/{name}.$$"; '
    'cat >"$new"; mv "$new" "$HOME/.codegen/{name}"'
)


class ServerTarget:
    """The ``DeployTarget`` over SSH.

    Args:
        access: the server, and how it is logged in to.
    """

    def __init__(self, access: SshAccess) -> None:
        self._access = access
        self._program = _PROGRAM.read_bytes()
        self._name = f"on_server-{sha256(self._program).hexdigest()[:16]}.py"

    def begin(self, job: Job) -> None:
        """Start the job, or adopt the one of that name whatever became of it."""
        if not job.bundle_name:
            self._call("begin", job.name, given=_described(job))
            return
        if self.inspect(job.name) is not None:
            return
        try:
            with trees.packed(
                bundle_name=job.bundle_name, bundle_sha256=job.bundle_sha256, commit_sha=job.commit_sha
            ) as tree:
                given = _described(job, tree_sha256=tree.sha256)
                self._call("begin", job.name, given=given, file=tree.path, seconds=_BEGIN_SECONDS)
        except TargetUnavailable:
            raise
        except Unavailable as error:
            raise TargetUnavailable(error.message) from error

    def inspect(self, name: str) -> JobState | None:
        """Return what is observed; None means the server says there is no such job."""
        said = self._call("inspect", name)
        if said.get("phase") == "none":
            return None
        try:
            return JobState(
                phase=_PHASES[said["phase"]],
                exit_code=int(said["code"]) if "code" in said else None,
                started_at=datetime.fromtimestamp(said["started"], UTC),
                finished_at=datetime.fromtimestamp(said["finished"], UTC) if "finished" in said else None,
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise TargetUnavailable("What the server says of a job cannot be understood.") from error

    def logs(self, name: str, *, tail_bytes: int) -> str:
        """Return the end of a job's output; empty when there is none."""
        return str(self._call("logs", name, str(tail_bytes)).get("text", ""))

    def end(self, name: str) -> None:
        """Stop the job and forget it; when this returns nothing of it runs."""
        self._call("end", name)

    def discard(self, release: Release) -> None:
        """Delete the files of a release; its project's data stay."""
        self._call("discard", release.name)

    def is_port_free(self, port: int) -> bool:
        """Tell whether nobody listens on a port of the server."""
        return self._call("port", str(port)).get("free") is True

    def list_jobs(self) -> dict[str, str]:
        """Return the jobs of this server: name → deployment id."""
        jobs = self._call("list").get("jobs")
        return {str(name): str(owner) for name, owner in jobs.items()} if isinstance(jobs, dict) else {}

    def _call(
        self, *words: str, given: bytes = b"", file: Path | None = None, seconds: float = _SECONDS
    ) -> dict[str, Any]:
        command = (
            f'p="$HOME/.codegen/{self._name}"; [ -f "$p" ] || exit {ssh.ABSENT}; '
            f'exec python3 "$p" {" ".join(words)}'
        )
        said = ssh.run(self._access, command, given=given, file=file, seconds=seconds)
        if said.code == ssh.ABSENT:
            placed = ssh.run(
                self._access, _PLACE.format(name=self._name), given=self._program, seconds=_SECONDS
            )
            if placed.code != 0:
                raise TargetUnavailable(f"Our program cannot be put there: {placed.complaint[-200:]}")
            said = ssh.run(self._access, command, given=given, file=file, seconds=seconds)
        return ssh.answer_of(said)


def _described(job: Job, *, tree_sha256: str = "") -> bytes:
    wanted = {
        "release": job.release.name,
        "project": job.release.project,
        "service": job.release.service,
        "data": bool(job.release.data_directory),
        "data_variables": {key: list(parts) for key, parts in job.data_variables.items()},
        # What the manifest says is one command; what checks a release out may be several.
        "script": f"set -eu; {job.command}" if tree_sha256 else f"exec {job.command}",
        "environment": dict(job.environment),
        "seconds": job.timeout_seconds,
        "deployment": job.deployment_id,
        "tree_sha256": tree_sha256,
    }
    return json.dumps(wanted).encode() + b"\n"
