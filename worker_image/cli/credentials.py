"""Where the command line finds the API and who it acts as.

Inside a worker: ``API_URL`` and ``WORKER_TOKEN``. Outside: ``ORCHESTRATOR_URL``
and ``ORCHESTRATOR_TOKEN``, else what ``orchestrator login`` kept in a file only
its owner can read.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker_image.contract import AUTHORIZATION_SCHEME, ENV_ALLOWED_COMMANDS, ENV_API_URL, ENV_WORKER_TOKEN

DEFAULT_URL = "http://127.0.0.1:8000"
ENV_URL = "ORCHESTRATOR_URL"
ENV_TOKEN = "ORCHESTRATOR_TOKEN"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """How to reach the API, and what this process may run."""

    url: str
    scheme: str = "Token"
    token: str = field(default="", repr=False)
    #: None: a person, who may try everything. A worker's list is a courtesy; the server decides.
    allowed_commands: tuple[str, ...] | None = None

    @property
    def is_worker(self) -> bool:
        """Whether this is the command line of an agent."""
        return self.scheme == AUTHORIZATION_SCHEME


def credentials_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file that ``login`` writes."""
    base = environment.get("XDG_CONFIG_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".config"
    )
    return Path(base) / "orchestrator" / "credentials.json"


def load(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Find the credentials of this process; without any, only anonymous calls will succeed."""
    token = environment.get(ENV_WORKER_TOKEN)
    if token:
        return Credentials(
            url=environment.get(ENV_API_URL) or DEFAULT_URL,
            scheme=AUTHORIZATION_SCHEME,
            token=token,
            allowed_commands=_allowed(environment.get(ENV_ALLOWED_COMMANDS, "[]")),
        )
    kept = _kept(credentials_file(environment))
    url = environment.get(ENV_URL) or kept.get("url") or DEFAULT_URL
    # A kept token is for the place that gave it out and for no other.
    own = kept.get("token") if url.rstrip("/") == kept.get("url", "").rstrip("/") else ""
    return Credentials(url=url, token=environment.get(ENV_TOKEN) or own or "")


def keep(credentials: Credentials, *, path: Path | None = None) -> Path:
    """Write the credentials to a file of mode 0600 and return its path."""
    path = path or credentials_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)  # a leftover keeps the mode it had
        json.dump({"url": credentials.url, "token": credentials.token}, file)
    part.replace(path)
    return path


def forget(*, path: Path | None = None) -> None:
    """Delete the kept credentials; none is success."""
    (path or credentials_file()).unlink(missing_ok=True)


def _kept(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {key: str(value) for key, value in record.items()} if isinstance(record, dict) else {}


def _allowed(text: str) -> tuple[str, ...]:
    try:
        listed = json.loads(text)
    except json.JSONDecodeError:
        return ()
    return tuple(str(command) for command in listed) if isinstance(listed, list) else ()
