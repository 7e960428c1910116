"""The deploy target on this very machine: releases run as supervised units of the operating system.

The unit's shim owns the service, no Celery process does: whatever process of
ours is killed, the service goes on, and the next look adopts it by its name.
"""

import os
import shlex
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from apps import storage
from apps.errors import Unavailable
from apps.infra.targets.base import Job, JobPhase, JobState, Release, TargetUnavailable
from apps.units.spec import UnitPhase, UnitSpec
from apps.units.supervisor import Units

_LABEL = "deployment"
_BUNDLE = "release.bundle"
_LOG_BYTES = 262_144

#: Checks the release out before the manifest's own set-up command runs. A kill
#: half-way leaves a directory that is never used again: each attempt has its own.
_CHECKOUT = (
    'git clone --quiet --no-checkout "$INPUT_DIR/{bundle}" . && '
    "git -c advice.detachedHead=false checkout --quiet --detach {commit}"
)


class LocalTarget:
    """The ``DeployTarget`` over ``apps.units``.

    Args:
        units: where jobs run.
        releases: directory of the releases' files.
        data: directory of the projects' data, kept between releases.
        environment: what every job's environment begins with.
    """

    def __init__(self, *, units: Units, releases: Path, data: Path, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._units = units
        self._releases = releases
        self._data = data

    def begin(self, job: Job) -> None:
        """Start the job, or adopt the one of that name whatever became of it."""
        try:
            if job.bundle_name:
                self._begin_installation(job)
            else:
                self._units.start(self._spec(job, f"exec {job.command}", inputs={}))
        except Unavailable as error:
            raise TargetUnavailable(error.message) from error
        except OSError as error:
            raise TargetUnavailable(f"The file system refused: {error.strerror or error}") from error

    def _begin_installation(self, job: Job) -> None:
        if self._units.inspect(job.name) is not None:
            return
        # Nothing has run here yet, so whatever lies there is from an attempt that was lost.
        self.discard(job.release)
        checkout = _CHECKOUT.format(bundle=_BUNDLE, commit=shlex.quote(job.commit_sha))
        script = f"set -eu; {checkout} && {job.command}"
        with tempfile.TemporaryDirectory(prefix="release-") as directory:
            bundle = Path(directory) / _BUNDLE
            storage.copy_to(job.bundle_name, bundle, sha256=job.bundle_sha256)
            self._units.start(self._spec(job, script, inputs={_BUNDLE: bundle}))

    def _spec(self, job: Job, script: str, *, inputs: dict[str, Path]) -> UnitSpec:
        account = f"project-{job.release.project}"
        work = self._releases / job.release.name
        if self._units.inspect(job.name) is None:
            self._units.hand_over(work, account)
        environment = {**self._environment, **job.environment}
        if job.release.data_directory:
            kept = self._data / job.release.project / job.release.service
            self._units.hand_over(kept, account)
            environment["DATA_DIR"] = str(kept)
            named = {name: str(kept).join(parts) for name, parts in job.data_variables.items()}
            environment.update(named)
        return UnitSpec(
            name=job.name,
            argv=("/bin/sh", "-c", script),
            env=environment,
            timeout_seconds=job.timeout_seconds,
            account=account,
            workdir=work,
            inputs=inputs,
            log_limit_bytes=_LOG_BYTES,
            cache=True,
            on_exit=("infra.reconcile_deployment", {"deployment_id": job.deployment_id}),
            labels={_LABEL: job.deployment_id},
        )

    def inspect(self, name: str) -> JobState | None:
        """Return what is observed; None means there is no such unit."""
        try:
            state = self._units.inspect(name)
        except Unavailable as error:
            raise TargetUnavailable(error.message) from error
        if state is None:
            return None
        phases = {UnitPhase.RUNNING: JobPhase.RUNNING, UnitPhase.EXITED: JobPhase.EXITED}
        code = state.exit_code if state.signal is None else -state.signal
        return JobState(
            phase=phases.get(state.phase, JobPhase.LOST),
            exit_code=code,
            started_at=state.started_at,
            finished_at=state.finished_at,
        )

    def logs(self, name: str, *, tail_bytes: int) -> str:
        """Return the end of a job's output; empty when there is none."""
        if self._units.inspect(name) is None:
            return ""
        return self._units.logs(name, tail_bytes=tail_bytes)

    def end(self, name: str) -> None:
        """Stop the job and forget it; when this returns nothing of it runs."""
        try:
            self._units.remove(name)
        except Unavailable as error:
            raise TargetUnavailable(error.message) from error

    def discard(self, release: Release) -> None:
        """Delete the files of a release; its project's data stay."""
        place = self._releases / release.name
        # Not a recursive function of ours: a release may leave trees too deep for one.
        for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            if not os.path.lexists(place):
                return
            subprocess.run([*command, "--", str(place)], stderr=subprocess.DEVNULL)
        if os.path.lexists(place):
            raise TargetUnavailable(f"The files of release {release.name} cannot be deleted.")

    def is_port_free(self, port: int) -> bool:
        """Tell whether nobody listens on a loopback port."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As a server would: a connection in TIME_WAIT does not make the port taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
        return True

    def list_jobs(self) -> dict[str, str]:
        """Return the units that belong to deployments: name → deployment id."""
        return {
            state.name: state.labels[_LABEL] for state in self._units.list_owned() if _LABEL in state.labels
        }
