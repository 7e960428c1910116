"""From a deployment's row to the jobs that install and run it: pure."""

import json
from collections.abc import Mapping, Sequence

from apps.infra.models import ServiceDeployment
from apps.infra.requests import Variable
from apps.infra.targets.base import Job, Release

INSTALL_SECONDS = 240.0
#: Shorter values cannot be told from ordinary words.
_SHORTEST_SECRET = 6
#: A service has no deadline of its own; the unit wants one, so a year.
SERVICE_SECONDS = 365 * 86_400.0


def release_of(deployment: ServiceDeployment) -> Release:
    """Return the files of the present installation attempt."""
    return Release(
        name=f"{deployment.pk}-{deployment.installs}",
        project=deployment.project_slug,
        service=deployment.service_name,
        data_directory=deployment.data_directory,
    )


def install_name(deployment: ServiceDeployment) -> str:
    """Return the derived name of the present installation attempt."""
    return f"install-{deployment.pk}-{deployment.installs}"


def service_name(deployment: ServiceDeployment) -> str:
    """Return the derived name of the present start of the service."""
    return f"service-{deployment.pk}-{deployment.starts}"


def install_job(deployment: ServiceDeployment) -> Job:
    """Return the job that checks the release out and sets it up; it sees no secret."""
    return Job(
        name=install_name(deployment),
        release=release_of(deployment),
        command=deployment.setup_command or "true",
        timeout_seconds=INSTALL_SECONDS,
        bundle_name=deployment.bundle_name,
        bundle_sha256=deployment.bundle_sha256,
        commit_sha=deployment.commit_sha,
        deployment_id=str(deployment.pk),
    )


def service_job(deployment: ServiceDeployment, *, port: int | None, known_at: int | None = None) -> Job:
    """Return the job that is the service, listening on its port if it has one.

    Args:
        deployment: the release.
        port: where it listens.
        known_at: the port of its address, if that is another one: a variable with host and port tells it.
    """
    host = deployment.server.host
    facts = {"host": host, "port": _word(port), "known_at": _word(known_at or port)}
    given = {"HOST": host, **({} if port is None else {"PORT": str(port)})}
    variables = _variables_of(deployment)
    cut = {key: _parts(value, facts) for key, value in variables.items()}
    return Job(
        name=service_name(deployment),
        release=release_of(deployment),
        command=deployment.run_command,
        environment={**{key: parts[0] for key, parts in cut.items() if len(parts) == 1}, **given},
        data_variables={key: parts for key, parts in cut.items() if len(parts) > 1},
        timeout_seconds=SERVICE_SECONDS,
        deployment_id=str(deployment.pk),
    )


def token_of(deployment: ServiceDeployment) -> str:
    """Return what a bot logs in with; empty when there is none."""
    found = _variables_of(deployment).get(deployment.token_variable, "")
    return found if isinstance(found, str) else ""


def stored_environment(variables: Mapping[str, Variable], secrets: Sequence[str]) -> str:
    """Return the form in which a release's row keeps its variables."""
    return json.dumps({"variables": dict(variables), "secrets": list(secrets)})


def base_url(deployment: ServiceDeployment, *, port: int | None) -> str:
    """Return the address users reach the service at, with a slash at its end; empty without a port."""
    return "" if port is None else f"http://{deployment.server.host}:{port}/"


def presentable(deployment: ServiceDeployment, text: str) -> str:
    """Return what a release printed or answered in a form that may be stored and shown.

    Its secrets are masked, and what PostgreSQL cannot hold is replaced: the text is a stranger's.
    """
    for value in sorted(_secrets_of(deployment), key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _parts(value: Variable, facts: Mapping[str, str]) -> tuple[str, ...]:
    """Fill the facts of a value in; what is left between the parts is the data directory."""
    parts = [""]
    pieces = [("text", value)] if isinstance(value, str) else [(kind, word) for kind, word in value]
    # A port alone is where the service listens; beside the host it is part of an address, for others.
    port = "known_at" if ("fact", "host") in pieces else "port"
    for kind, word in pieces:
        if kind == "fact" and word == "data":
            parts.append("")
        elif kind == "fact":
            parts[-1] += facts[port if word == "port" else word]
        else:
            parts[-1] += word
    return tuple(parts)


def _word(port: int | None) -> str:
    return "" if port is None else str(port)


def _variables_of(deployment: ServiceDeployment) -> Mapping[str, Variable]:
    stored = json.loads(deployment.environment)
    variables: Mapping[str, Variable] = stored["variables"] if _is_sorted(stored) else stored
    return variables


def _secrets_of(deployment: ServiceDeployment) -> Sequence[str]:
    stored = json.loads(deployment.environment)
    return stored["secrets"] if _is_sorted(stored) else [str(value) for value in stored.values()]


def _is_sorted(stored: Mapping[str, object]) -> bool:
    # A release of before knows its secrets only, and goes on with them until it is replaced.
    return isinstance(stored.get("variables"), dict) and isinstance(stored.get("secrets"), list)
