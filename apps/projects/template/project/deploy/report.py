"""Tells the git host about a deployment; needs nothing but Python and the job's token.

    python3 -m deploy.report start SHA DIGESTS.json   prints the id of the new deployment
    python3 -m deploy.report finish ID STATE URL      STATE is success or failure

The control plane reads it back: what was deployed, where it answers, and whether it does. It looks
for it under the environment that project.yaml names.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.contract import load

USUAL_ENVIRONMENT = "production"
TIMEOUT_SECONDS = 30


def environment_name(manifest: Mapping[str, Any]) -> str:
    """Return the name of the environment that a project is deployed to."""
    return str((manifest.get("deploy") or {}).get("environment") or USUAL_ENVIRONMENT)


def start(environment: Mapping[str, str], sha: str, digests: Mapping[str, str]) -> int:
    """Open a deployment; returns its id."""
    payload = {"images": dict(digests), "correlation": environment["CORRELATION"]}
    body = {
        "ref": sha,
        "environment": environment_name(load()),
        "auto_merge": False,
        "required_contexts": [],
        "payload": payload,
        "description": f"run {environment['GITHUB_RUN_ID']}",
    }
    identity = int(_post(environment, "deployments", body)["id"])
    _post(environment, f"deployments/{identity}/statuses", _status(environment, "in_progress", ""))
    return identity


def finish(environment: Mapping[str, str], identity: int, state: str, url: str) -> None:
    """Say how the deployment ended and, if it succeeded, where it answers."""
    _post(environment, f"deployments/{identity}/statuses", _status(environment, state, url))


def _status(environment: Mapping[str, str], state: str, url: str) -> dict[str, Any]:
    server, repository = environment["GITHUB_SERVER_URL"], environment["GITHUB_REPOSITORY"]
    log = f"{server}/{repository}/actions/runs/{environment['GITHUB_RUN_ID']}"
    status = {
        "state": state,
        "environment": environment_name(load()),
        "log_url": log,
        "auto_inactive": True,
    }
    return status | ({"environment_url": url} if url else {})


def _post(environment: Mapping[str, str], path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/{path}",
        data=json.dumps(body).encode(),
        headers={
            "authorization": f"Bearer {environment['TOKEN']}",
            "accept": "application/vnd.github+json",
            "content-type": "application/json",
            "x-github-api-version": "2022-11-28",
        },
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        content: dict[str, Any] = json.load(answer)
    return content


def main(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    try:
        match arguments:
            case ["start", sha, digests]:
                images = json.loads(Path(digests).read_text(encoding="utf-8"))
                sys.stdout.write(f"{start(os.environ, sha, images)}\n")
            case ["finish", identity, state, url] if state in ("success", "failure"):
                finish(os.environ, int(identity), state, url)
            case _:
                sys.stderr.write("usage: report start SHA DIGESTS.json | finish ID success|failure URL\n")
                return 2
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"the git host answered {error.code}: {error.read(500).decode(errors='replace')}\n")
        return 1
    except (OSError, KeyError, ValueError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
