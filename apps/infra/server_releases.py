"""From a row to the jobs that make a project's release live on a server, and undo that: pure.

The project's own scripts do the work, the same ones that its workflow runs elsewhere: what they need is a
server with Docker, and the files of one commit. A release is built there: no registry, and no Docker of ours.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from apps.failures import FailureKind
from apps.infra import releases, server_scripts
from apps.infra.models import ServiceDeployment
from apps.infra.targets.base import Job

BUILD_SECONDS, ACTIVATION_SECONDS, UNDO_SECONDS = 900.0, 420.0, 420.0
FORGET_SECONDS: Final = 60.0
_HEALTH_WORDS: Final = re.compile(r"\bnot healthy:|did not stay healthy")
_BOTH_WORDS: Final = "the release before is not healthy either"
#: What the machine says when it is at its end; neither the code's fault nor a person's.
_MACHINE_WORDS: Final = re.compile(
    r"no space left on device|disk quota exceeded|read-only file system|cannot connect to the docker daemon",
    re.I,
)
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGES: Final = 50


def install_job(row: ServiceDeployment, *, ports: Mapping[str, int]) -> Job:
    """Return the job that builds a release on its server, with what each service will be told.

    Args:
        row: the release.
        ports: of the project, by the variables that tell them.
    """
    secrets = json.loads(row.environment).get("variables", {})
    given = {"RELEASE": row.commit_sha, "DEPLOY_HOST": row.server.host, "PORTS": json.dumps(dict(ports))}
    keys = [key for key in secrets if _KEY.fullmatch(key)]
    return Job(
        name=releases.install_name(row),
        release=releases.release_of(row),
        command=_install_command(row, keys),
        environment={**{key: str(secrets[key]) for key in keys}, **given},
        timeout_seconds=BUILD_SECONDS,
        bundle_name=row.bundle_name,
        bundle_sha256=row.bundle_sha256,
        commit_sha=row.commit_sha,
        deployment_id=str(row.pk),
    )


def activation_name(row: ServiceDeployment) -> str:
    """Return the derived name of the present try to make a release live."""
    return f"activate-{row.pk}-{row.starts}"


def activation_job(row: ServiceDeployment) -> Job:
    """Return the job that makes a release the one that runs, or leaves the one before."""
    command = _shell(server_scripts.ACTIVATE, row.project_slug, row.commit_sha, str(row.pk))
    return _job(row, activation_name(row), command, ACTIVATION_SECONDS)


def undo_name(row: ServiceDeployment) -> str:
    """Return the derived name of the job that undoes a release."""
    return f"undo-{row.pk}"


def undo_job(row: ServiceDeployment, *, before: str) -> Job:
    """Return the job that makes the release before live again, or removes all of the project but its data.

    Args:
        row: the release that goes.
        before: the commit to go back to; empty: none.
    """
    words = row.project_slug, before, row.commit_sha, str(row.pk)
    return _job(row, undo_name(row), _shell(server_scripts.UNDO, *words), UNDO_SECONDS)


def forget_name(row: ServiceDeployment) -> str:
    """Return the derived name of the job that removes what a release left beside those that count."""
    return f"forget-{row.pk}"


def forget_job(row: ServiceDeployment) -> Job:
    """Return the job that removes what a release left beside those that count; it undoes nothing."""
    words = row.project_slug, row.commit_sha, str(row.pk)
    script = server_scripts.FORGET_BEFORE if row.starts else server_scripts.FORGET_BUILD
    return _job(row, forget_name(row), _shell(script, *words), FORGET_SECONDS)


def address_of(row: ServiceDeployment, ports: Mapping[str, int]) -> str:
    """Return where a project's first web service answers on its server; empty if it has none.

    Args:
        row: the release.
        ports: of the project, by role.
    """
    services = (row.contract or {}).get("services") or ()
    roles = [one.get("port") for one in services if one.get("kind", "web") == "web"]
    port = next((ports[role] for role in roles if role in ports), None)
    host = f"[{row.server.host}]" if ":" in row.server.host else row.server.host
    return "" if port is None else f"http://{host}:{port}/"


def images_of(log: str) -> dict[str, str]:
    """Return the digests that an activation names in its last line; a stranger's words."""
    try:
        found: Any = json.loads(log.strip().rpartition("\n")[2])
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    pairs = [(str(name)[:100], str(digest)[:100]) for name, digest in found.items()]
    return dict(pairs[:_IMAGES])


def install_problem(exit_code: int | None, log: str) -> tuple[str, str, FailureKind]:
    """Say why a release was not built: a stable code, a sentence, and whose failure it is."""
    last = log.strip().rpartition("\n")[2][:200]
    match exit_code:
        case 65 | 66 if _MACHINE_WORDS.search(log):
            return "install_failed", f"The server could not build the release: {last}", FailureKind.PLATFORM
        case 69:
            return "docker_missing", "The server has no Docker that answers.", FailureKind.PLATFORM
        case 64:
            return "compose_missing", last, FailureKind.USER
        case 65:
            return "environment_broken", f"The environment contract cannot be met: {last}", FailureKind.USER
        case 66:
            return "build_failed", "The release's images could not be built.", FailureKind.PRODUCT
    return "install_failed", f"The server ended the build with exit code {exit_code}.", FailureKind.PLATFORM


def activation_problem(exit_code: int | None, log: str) -> tuple[str, str, FailureKind]:
    """Say why a release did not become the one that runs; only its own ill health is its own fault."""
    if _HEALTH_WORDS.search(log) and _BOTH_WORDS not in log:
        text = "The release was not healthy on its server; the one before goes on."
        return "not_healthy", text, FailureKind.PRODUCT
    text = f"The server could not make the release live (exit code {exit_code})."
    return "activation_failed", text, FailureKind.PLATFORM


def _job(row: ServiceDeployment, name: str, command: str, seconds: float) -> Job:
    return Job(
        name=name,
        release=releases.release_of(row),
        command=command,
        timeout_seconds=seconds,
        deployment_id=str(row.pk),
    )


def _install_command(row: ServiceDeployment, keys: Sequence[str]) -> str:
    words = row.project_slug, row.commit_sha
    # What builds takes the place of the process that was given the values: `unset` leaves them in /proc.
    without = [word for key in ("PORTS", *keys) for word in ("-u", key)]
    build = shlex.join(["exec", "env", *without])
    return (
        f"{_shell(server_scripts.PREPARE, *words)} && "
        f"{build} {_shell(server_scripts.BUILD, *words, str(row.pk))}"
    )


def _shell(script: str, *words: str) -> str:
    return shlex.join(["sh", "-c", script, "deploy", *words])
