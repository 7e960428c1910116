"""From a deployment's row to the jobs that install and run it: pure."""

import json
from collections.abc import Mapping

from apps.infra.models import ServiceDeployment
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


def service_job(deployment: ServiceDeployment, *, port: int) -> Job:
    """Return the job that is the service, listening on its port."""
    secrets = _secrets_of(deployment)
    return Job(
        name=service_name(deployment),
        release=release_of(deployment),
        command=deployment.run_command,
        environment={**secrets, "HOST": deployment.server.host, "PORT": str(port)},
        timeout_seconds=SERVICE_SECONDS,
        deployment_id=str(deployment.pk),
    )


def base_url(deployment: ServiceDeployment, *, port: int) -> str:
    """Return the address users reach the service at, with a slash at its end."""
    return f"http://{deployment.server.host}:{port}/"


def presentable(deployment: ServiceDeployment, text: str) -> str:
    """Return what a release printed or answered in a form that may be stored and shown.

    Its secrets are masked, and what PostgreSQL cannot hold is replaced: the text is a stranger's.
    """
    for value in sorted(_secrets_of(deployment).values(), key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _secrets_of(deployment: ServiceDeployment) -> Mapping[str, str]:
    secrets: Mapping[str, str] = json.loads(deployment.environment)
    return secrets
