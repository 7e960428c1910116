"""The scripted model server: a small ASGI application under uvicorn, in a thread of the test that started it.

Written here because none of the packages found describes a server that can stall or break off in the middle
of a scripted conversation (docs/decisions.md).
"""

import asyncio
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import uvicorn

from tests.model_server import anthropic, responses
from tests.model_server.script import (
    Answer,
    Call,
    Conversation,
    Endless,
    Refuse,
    Run,
    Say,
    Scenario,
    Script,
    Stall,
    Step,
    Truncate,
)

KEY = "sk-scripted-model-key"
"""What a client must show; a test may choose another one."""
DONE = Say("Done.")
PING_SECONDS = 1.0
START_SECONDS = 15.0
PROTOCOLS = {"/v1/messages": anthropic, "/v1/responses": responses}
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came; no key is kept."""

    path: str
    is_key_right: bool
    conversation: Conversation
    step: Step | None
    """What was answered; None if the model was not reached."""
    at: float
    """Seconds of the monotonic clock."""


@dataclass(slots=True)
class ModelServer:
    """A running server and what it was asked."""

    script: Script
    key: str = field(default=KEY, repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address that ANTHROPIC_BASE_URL takes."""
        return f"http://{self.host}:{self.port}"

    @property
    def openai_url(self) -> str:
        """The address that OPENAI_BASE_URL takes."""
        return f"{self.url}/v1"

    @property
    def asked(self) -> list[Asked]:
        """What was asked of the model itself with the right key, in order."""
        return [item for item in self.requests if item.step is not None]

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        path, body = scope["path"], await _body(receive)
        is_right = self._is_key_right({name.decode(): value for name, value in scope["headers"]})
        protocol = PROTOCOLS.get(path)
        if path in {"/", "/health"}:
            return await _send_json(send, 200, {"status": "ok"})
        if protocol is None and path != "/v1/messages/count_tokens":
            self._record(path, is_right, Conversation(), None)
            return await _send_json(send, 404, anthropic.error(404))
        if not is_right:
            self._record(path, is_right, Conversation(), None)
            return await _send_json(send, 401, (protocol or anthropic).error(401))
        if protocol is None:
            return await _send_json(send, 200, {"input_tokens": max(1, len(body) // 4)})
        conversation: Conversation = protocol.read(json.loads(body))
        step = self.script.next_step(conversation)
        self._record(path, is_right, conversation, step)
        if isinstance(step, Refuse):
            return await _send_json(send, step.status, protocol.error(step.status))
        if conversation.is_streaming:
            return await _send_stream(receive, send, _stream(protocol, step, conversation))
        return await _send_whole(receive, send, step, protocol.message, conversation)

    def _record(self, path: str, is_right: bool, conversation: Conversation, step: Step | None) -> None:
        self.requests.append(Asked(path, is_right, conversation, step, time.monotonic()))

    def _is_key_right(self, headers: dict[str, bytes]) -> bool:
        bearer = headers.get("authorization", b"").removeprefix(b"Bearer ")
        return hmac.compare_digest(headers.get("x-api-key") or bearer, self.key.encode())


@contextmanager
def model_server(
    *scenarios: Scenario, default: Step = DONE, host: str = "127.0.0.1", key: str = KEY
) -> Iterator[ModelServer]:
    """Run a server on a free port of an address of this machine until the block ends."""
    model = ModelServer(Script(scenarios, default), key=key, host=host)
    config = uvicorn.Config(
        model, host=host, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="model-server", daemon=True)
    thread.start()
    until = time.monotonic() + START_SECONDS
    while not server.started:
        if time.monotonic() > until or not thread.is_alive():
            raise AssertionError("the model server did not start")
        time.sleep(0.01)
    model.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield model
    finally:
        server.should_exit = True
        thread.join(timeout=START_SECONDS)


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        event = await receive()
        parts.append(event.get("body", b""))
        if not event.get("more_body"):
            return b"".join(parts)


async def _send_json(send: Send, status: int, value: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


async def _send_whole(
    receive: Receive,
    send: Send,
    step: Step,
    message: Callable[[Answer, Conversation], dict[str, Any]],
    conversation: Conversation,
) -> None:
    """Answer without a stream; what has no end is never answered."""
    if isinstance(step, Say | Run | Call):
        return await _send_json(send, 200, message(step, conversation))
    if isinstance(step, Truncate):
        return await _send_half(send)
    return await _until_gone(receive)


async def _send_half(send: Send) -> None:
    """Send the begin of an answer and end."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": b'{"id": "msg_1", "type": "mess'})


async def _send_stream(receive: Receive, send: Send, parts: AsyncIterator[bytes]) -> None:
    """Send until there is no more, or nobody listens."""
    gone = asyncio.ensure_future(_until_gone(receive))
    sending = asyncio.ensure_future(_send_parts(send, parts))
    await asyncio.wait([gone, sending], return_when=asyncio.FIRST_COMPLETED)
    for task in (gone, sending):
        task.cancel()
    await asyncio.gather(gone, sending, return_exceptions=True)


async def _send_parts(send: Send, parts: AsyncIterator[bytes]) -> None:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(protocol: ModuleType, step: Step, conversation: Conversation) -> AsyncIterator[bytes]:
    for part in protocol.opening(conversation):
        yield part
    if isinstance(step, Say | Run | Call):
        async for part in _thinking(protocol, step.after_seconds):
            yield part
        for part in protocol.body(step, conversation):
            yield part
        return
    for part in protocol.begin_text():
        yield part
    async for part in _never_whole(protocol, step):
        yield part


async def _never_whole(protocol: ModuleType, step: Step) -> AsyncIterator[bytes]:
    """Yield the middle of an answer that has no end."""
    if isinstance(step, Truncate):
        yield protocol.text(step.text)
        return
    while True:
        if isinstance(step, Endless):
            yield protocol.text(step.word)
        elif isinstance(step, Stall) and step.with_pings:
            yield protocol.sign_of_life()
        await asyncio.sleep(step.every_seconds if isinstance(step, Endless) else PING_SECONDS)


async def _thinking(protocol: ModuleType, seconds: float) -> AsyncIterator[bytes]:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, PING_SECONDS))
        yield protocol.sign_of_life()
