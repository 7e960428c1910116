"""The whole of this GitHub: its organisation, app, repositories and tokens."""

import secrets
import shutil
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.github_server import git_hook, git_store, repositories
from tests.github_server.access import GRANTED, new_token_value
from tests.github_server.stage import Stage
from tests.github_server.state import Repository, Token
from tests.github_server.webhooks import Webhooks
from tests.github_server.wire import Request

ALL = {**GRANTED, "checks": "write", "statuses": "write", "deployments": "write"}


@dataclass
class App:
    """The app that is installed in the organisation."""

    private_pem: str = field(repr=False)
    public_key: Any = field(repr=False)
    # Another one every time: what processes remember about an app is kept by its id.
    id: int = field(default_factory=lambda: 100_000 + secrets.randbelow(900_000))
    client_id: str = "Iv1.double"
    slug: str = "book-bot"
    installation_id: int = 2001
    is_installed: bool = True
    granted: dict[str, str] = field(default_factory=lambda: dict(GRANTED))


@lru_cache(maxsize=1)
def _key() -> rsa.RSAPrivateKey:
    """Make one key per process: it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _new_app() -> App:
    key = _key()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return App(private_pem=private.decode(), public_key=key.public_key())


class GitHub:
    """State that every endpoint shares; `lock` guards it.

    A test reads and turns it through `stage`, `webhooks`, `app`, `find()` and the methods for persons.
    """

    def __init__(self, root: Path, *, org: str = "book-club") -> None:
        self.root, self.org = root, org
        self.base_url = ""
        self.app = _new_app()
        self.stage = Stage()
        self.webhooks = Webhooks(self)
        self.lock = threading.RLock()
        self.pushing: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self.repositories: list[Repository] = []
        self.tokens: dict[str, Token] = {}
        self.runner: Any = None
        self.blobs: dict[str, Any] = {}
        self.complaints: list[str] = []
        self.may_complain = False  # True lets a test end well although the double could not do something
        self._ids = count(10_001)

    def next_id(self) -> int:
        return next(self._ids)

    @property
    def url(self) -> str:
        """What GITHUB_API_BASE_URL takes."""
        return f"{self.base_url}/api/v3"

    # --- Repositories -------------------------------------------------------

    def find(self, owner: str, name: str) -> Repository | None:
        wanted = (owner.lower(), name.lower())
        return next(
            (item for item in self.repositories if (item.owner.lower(), item.name.lower()) == wanted), None
        )

    def renamed(self, owner: str, name: str) -> Repository | None:
        """Return the repository that had a name which nobody has taken since."""
        if self.find(owner, name) is not None:
            return None
        return next((item for item in self.repositories if name.lower() in item.former_names), None)

    def by_id(self, repository_id: int) -> Repository | None:
        return next((item for item in self.repositories if item.id == repository_id), None)

    def create_repository(self, name: str, *, owner: str | None = None, **fields: Any) -> Repository:
        """Make a repository, as a call or as a stranger in the organisation."""
        number = self.next_id()
        path = self.root / "repositories" / f"{number}.git"
        repository = Repository(id=number, owner=owner or self.org, name=name, path=path, **fields)
        git_store.create(path, repository.default_branch, self.hook(repository))
        with self.lock:
            self.repositories.append(repository)
        return repository

    def delete_repository(self, repository: Repository) -> None:
        with self.lock:
            self.repositories.remove(repository)
        if self.runner is not None:
            self.runner.forget(repository)
        shutil.rmtree(repository.path, ignore_errors=True)

    def hook(self, repository: Repository) -> str:
        """Return the pre-receive hook, which asks this server."""
        return git_hook.script(f"{self.base_url}/_internal/pre-receive/{repository.id}")

    # --- Tokens -------------------------------------------------------------

    def mint(
        self,
        permissions: dict[str, str],
        *,
        repository_ids: frozenset[int] | None = None,
        is_job: bool = False,
    ) -> Token:
        expires_at = time.time() + (86_400 if is_job else self.stage.token_seconds)
        token = Token(
            value=new_token_value(),
            permissions=permissions,
            repository_ids=repository_ids,
            expires_at=expires_at,
            is_job=is_job,
        )
        self.tokens[token.value] = token
        return token

    def person_token(self) -> str:
        """Return the token of an owner of the organisation, which never expires."""
        token = Token(value=new_token_value(), permissions=dict.fromkeys(ALL, "admin"))
        self.tokens[token.value] = token
        return token.value

    def expire_tokens(self) -> None:
        """Let every token of the installation expire now."""
        for token in self.tokens.values():
            if token.expires_at != float("inf") and not token.is_job:
                token.expires_at = 0.0

    # --- For tests ----------------------------------------------------------

    def secrets_of(self, name: str) -> dict[str, str]:
        """Return the decrypted secrets of a repository, which no endpoint does."""
        repository = self.find(self.org, name)
        return dict(repository.secrets) if repository else {}

    def show(self, request: Request, repository: Repository) -> dict[str, Any]:
        """Return a repository as answers show it."""
        return repositories.show(request.base_url, repository)
