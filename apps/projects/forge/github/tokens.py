"""Installation tokens, shared by all processes: made once per repository and permissions, renewed in time.

In Redis they are encrypted with ENCRYPTION_KEYS; they are never written
anywhere else. Who finds none makes one while the others wait for it, so a
hundred processes that wake up together ask the host once.
"""

import hashlib
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Final, Protocol, cast

from cryptography.fernet import InvalidToken
from redis import Redis

from apps.encryption import cipher
from apps.errors import OrchestratorError
from apps.projects.forge import base, hosting
from apps.projects.forge.github import errors, store
from apps.projects.forge.github.app import App, Scope, Token

#: A token is renewed so long before it ends: longer than any one use of it.
MARGIN_SECONDS: Final = 300
_INSTALLATION_SECONDS: Final = 3_600
_LOCK_SECONDS: Final = 30
_PATIENCE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05

# KEYS: a key. ARGV: the value it must have to be deleted.
_DELETE_IF: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


class Tokens(Protocol):
    """Where the client has its credentials from."""

    def get(self, scope: Scope) -> str:
        """Return a token for a scope."""

    def forget(self, scope: Scope, token: str) -> None:
        """Have the next `get` return another one than this, which the host has refused."""

    def not_accepted(self) -> OrchestratorError:
        """Return what it means that the host refused the token it was asked with after a `forget`, too."""


class StaticToken:
    """One token for everything: a person's own, for tests against a real host.

    Args:
        value: the token.

    """

    def __init__(self, value: str) -> None:
        self._value = value

    def get(self, scope: Scope) -> str:
        """Return the one token, whatever it is good for."""
        return self._value if scope else ""

    def forget(self, scope: Scope, token: str) -> None:
        """Do nothing: there is no other."""

    def not_accepted(self) -> OrchestratorError:
        """Return that the token is wrong."""
        return errors.credential_invalid("the token")


class SharedTokens:
    """Tokens of an app's installation, in Redis.

    Args:
        app: makes them.
        redis: the shared server.
        name: of the app's keys.

    """

    def __init__(self, app: App, redis: "Redis", *, name: str) -> None:
        self._app = app
        self._redis = redis
        self._prefix = f"github:{name}"

    def get(self, scope: Scope) -> str:
        """Return a token that is good for the scope and lives for at least five minutes more.

        Raises:
            TokenRepositoryAbsent: the scope's repository is gone.
            ForgeForbidden, AppNotInstalled, OrganisationNotFound, ForgeCredentialInvalid: see `app`.

        """
        key = self._key(scope)
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            known = self._read(key)
            if known is not None:
                return known
            holder = uuid.uuid4().hex
            with store.answering():
                is_mine = self._redis.set(f"{key}:lock", holder, nx=True, ex=_LOCK_SECONDS)
            if is_mine or time.monotonic() > until:
                return self._renew(key, scope, holder, is_mine=bool(is_mine))
            time.sleep(_POLL_SECONDS)

    def forget(self, scope: Scope, token: str) -> None:
        """Drop a refused token, unless another process has already put a new one in its place."""
        key = self._key(scope)
        with store.answering():
            stored = cast(bytes | None, self._redis.get(key))
        if stored is not None and _decrypted(stored) in (None, token):
            with store.answering():
                self._redis.eval(_DELETE_IF, 1, key, stored)

    def not_accepted(self) -> OrchestratorError:
        """Return that the host has to be asked again: it made the token a moment ago.

        GitHub may answer 401 to a new token for seconds, until all of its servers know it; a wrong key of the
        app never gets as far as a token.
        """
        return base.ForgeUnavailable("GitHub does not know the token yet that it has just made")

    def _renew(self, key: str, scope: Scope, holder: str, *, is_mine: bool) -> str:
        try:
            # Between looking and taking the lock, its last holder may have put one there.
            known = self._read(key) if is_mine else None
            if known is not None:
                return known
            token = self._mint(scope)
            lives = int((token.expires_at - datetime.now(UTC)).total_seconds()) - MARGIN_SECONDS
            if lives > 0:
                with store.answering():
                    self._redis.set(key, cipher().encrypt(token.value.encode()), ex=lives)
            return token.value
        finally:
            with store.answering():
                self._redis.eval(_DELETE_IF, 1, f"{key}:lock", holder)

    def _mint(self, scope: Scope) -> Token:
        known = self._installation()
        try:
            return self._app.mint(known or self._look_up(), scope)
        except hosting.AppNotInstalled:
            if known is None:
                raise
            # It may have been installed anew: then it has another id.
            return self._app.mint(self._look_up(), scope)

    def _installation(self) -> int | None:
        with store.answering():
            known = cast(bytes | None, self._redis.get(f"{self._prefix}:installation"))
        return int(known) if known else None

    def _look_up(self) -> int:
        found = self._app.installation()
        with store.answering():
            self._redis.set(f"{self._prefix}:installation", found, ex=_INSTALLATION_SECONDS)
        return found

    def _read(self, key: str) -> str | None:
        with store.answering():
            stored = cast(bytes | None, self._redis.get(key))
        return _decrypted(stored) if stored is not None else None

    def _key(self, scope: Scope) -> str:
        text = json.dumps([scope.repository_id, scope.permissions])
        return f"{self._prefix}:token:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _decrypted(stored: bytes) -> str | None:
    try:
        return cipher().decrypt(stored).decode()
    except InvalidToken:  # of keys that were rotated away: as good as none
        return None
