"""Bundles down and up over the control plane's API, with the worker's token."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx
import structlog

from worker_image import contract
from worker_image.backoff import Backoff
from worker_image.capture import bounded

REQUEST_TIMEOUT_SECONDS = 60.0
FINAL_STATUSES = frozenset({400, 401, 403, 405, 410, 413, 415, 422})
"""Answers that asking again does not change."""

SHA = re.compile(r"[0-9a-f]{40}")

logger = structlog.get_logger(__name__)
Answer = TypeVar("Answer")


class TransferRefused(Exception):
    """The control plane said no, and would say no again."""


class TransferUnavailable(Exception):
    """The control plane could not be asked before the deadline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseBundle:
    """What the control plane gave to start from."""

    path: Path
    base_sha: str
    base_branch: str


class _TryAgain(Exception):
    """An attempt did not work; another may."""


class ApiClient:
    """The worker's two calls to the control plane."""

    def __init__(self, api_url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=api_url,
            headers={"Authorization": f"{contract.AUTHORIZATION_SCHEME} {token}"},
            timeout=REQUEST_TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def download_workspace(self, path: Path, *, deadline_seconds: float) -> BaseBundle | None:
        """Store the bundle of the base branch in a file; None if this worker has no workspace.

        Raises:
            TransferRefused: the token is not accepted, or the bundle is over the limit.
            TransferUnavailable: no whole bundle came before the deadline.

        """

        async def attempt() -> BaseBundle | None:
            async with self._client.stream("GET", contract.WORKSPACE_PATH) as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return None
                await _check(response)
                return await _store(response, path)

        return await _persist(attempt, "workspace_download_failed", deadline_seconds)

    async def upload_snapshot(
        self, bundle: bytes, headers: Mapping[str, str], *, deadline_seconds: float
    ) -> None:
        """Hand over one bundle; the same bundle twice is handed over once.

        Raises:
            TransferRefused: the bundle is over the limit, or not accepted.
            TransferUnavailable: nobody took it before the deadline.

        """
        if len(bundle) > contract.MAX_BUNDLE_BYTES:
            raise TransferRefused(f"the bundle is larger than {contract.MAX_BUNDLE_BYTES} bytes")
        checked = {
            **headers,
            contract.HEADER_BUNDLE_SHA256: hashlib.sha256(bundle).hexdigest(),
            "Content-Type": "application/octet-stream",
        }

        async def attempt() -> None:
            response = await self._client.post(contract.SNAPSHOTS_PATH, content=bundle, headers=checked)
            await _check(response)

        await _persist(attempt, "snapshot_upload_failed", deadline_seconds)


async def _persist(attempt: Callable[[], Awaitable[Answer]], event: str, deadline_seconds: float) -> Answer:
    backoff = Backoff()
    deadline = time.monotonic() + deadline_seconds
    while True:
        try:
            async with asyncio.timeout(max(0.1, deadline - time.monotonic())):
                return await attempt()
        except (httpx.HTTPError, TimeoutError, _TryAgain) as error:
            logger.warning(event, error=str(error), error_type=type(error).__name__)
            pause = backoff.next_pause()
            if time.monotonic() + pause > deadline:
                raise TransferUnavailable(str(error) or type(error).__name__) from error
            await asyncio.sleep(pause)


async def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    await response.aread()
    words = f"HTTP {response.status_code}: {bounded(response.text, 300)}"
    raise TransferRefused(words) if response.status_code in FINAL_STATUSES else _TryAgain(words)


async def _store(response: httpx.Response, path: Path) -> BaseBundle:
    digest = hashlib.sha256()
    size = 0
    with path.open("wb") as file:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > contract.MAX_BUNDLE_BYTES:
                raise TransferRefused(f"the workspace is larger than {contract.MAX_BUNDLE_BYTES} bytes")
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != response.headers.get(contract.HEADER_BUNDLE_SHA256, ""):
        raise _TryAgain("the downloaded bundle does not match its checksum")
    base_sha = response.headers.get(contract.HEADER_BASE_SHA, "")
    if not SHA.fullmatch(base_sha):
        raise _TryAgain(f"{contract.HEADER_BASE_SHA} is missing or malformed")
    return BaseBundle(
        path=path, base_sha=base_sha, base_branch=response.headers.get(contract.HEADER_BASE_BRANCH) or "main"
    )
