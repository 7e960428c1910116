"""Endpoints of a repository's secrets: values come in sealed, are opened for the runner, and never go out."""

import base64
import binascii
import re
from typing import Any

from nacl.exceptions import CryptoError
from nacl.public import SealedBox

from tests.github_server.routing import route
from tests.github_server.wire import Answer, Refusal, Request, not_found, now, page

MAX_SECRETS = 100
MAX_VALUE_BYTES = 48 * 1024
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*", re.IGNORECASE)


def _key_id(request: Request) -> str:
    return str(568_250_167_242_549_000 + request.repository.id)


@route("GET", "/repos/{owner}/{repo}/actions/secrets/public-key", needs="secrets=read")
def read_public_key(github: Any, request: Request) -> Answer:
    key = base64.b64encode(bytes(request.repository.key.public_key)).decode()
    return Answer(200, {"key_id": _key_id(request), "key": key})


def _show(request: Request, name: str) -> dict[str, str]:
    created, updated = request.repository.secret_dates[name]
    return {"name": name, "created_at": created, "updated_at": updated}


@route("GET", "/repos/{owner}/{repo}/actions/secrets", needs="secrets=read")
def list_secrets(github: Any, request: Request) -> Answer:
    return page(request, [_show(request, name) for name in sorted(request.repository.secrets)], "secrets")


@route("GET", "/repos/{owner}/{repo}/actions/secrets/{name}", needs="secrets=read")
def read_secret(github: Any, request: Request) -> Answer:
    name = request.params["name"].upper()
    if name not in request.repository.secrets:
        raise not_found()
    return Answer(200, _show(request, name))


@route("PUT", "/repos/{owner}/{repo}/actions/secrets/{name}", needs="secrets=write")
def put_secret(github: Any, request: Request) -> Answer:
    repository, name = request.repository, request.params["name"].upper()
    if not _NAME.fullmatch(name) or name.startswith("GITHUB_"):
        raise Refusal(
            422, "Secret names can only contain alphanumeric characters and underscores, see the rules"
        )
    body = request.fields("Secret", encrypted_value=str, key_id=str)
    if body["key_id"] != _key_id(request):
        raise Refusal(422, "Bad request - bad key ID")
    value = _opened(request, body["encrypted_value"])
    is_new = name not in repository.secrets
    if is_new and len(repository.secrets) >= MAX_SECRETS:
        raise Refusal(422, f"The limit of {MAX_SECRETS} secrets of a repository is reached")
    created = now() if is_new else repository.secret_dates[name][0]
    repository.secrets[name], repository.secret_dates[name] = value, (created, now())
    return Answer(201, {}) if is_new else Answer(204)


def _opened(request: Request, sealed: str) -> str:
    try:
        raw = base64.b64decode(sealed, validate=True)
        value = SealedBox(request.repository.key).decrypt(raw)
    except (binascii.Error, CryptoError, ValueError):
        raise Refusal(422, "Bad request - the secret could not be opened with this key") from None
    if len(value) > MAX_VALUE_BYTES:
        raise Refusal(422, "Secret value is too large: the limit is 48 KB")
    return value.decode()


@route("DELETE", "/repos/{owner}/{repo}/actions/secrets/{name}", needs="secrets=write")
def delete_secret(github: Any, request: Request) -> Answer:
    name = request.params["name"].upper()
    if name not in request.repository.secrets:
        raise not_found()
    del request.repository.secrets[name]
    return Answer(204)
