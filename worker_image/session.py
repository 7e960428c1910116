"""Conversation identities: in Redis (the seed's surface) and in the worker's home (what the wrapper uses).

A Product Owner's session id lives on its row in the control plane and comes in as `SESSION_ID`; the worker's
user may not touch a session key. Without that variable the id is kept in the home directory, beside the
conversation itself. Whether the agent knows the conversation is asked of the agent's own files.
"""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis.asyncio

from worker_image.contract import SESSION_TTL_SECONDS, session_key
from worker_image.files import read_json, write_json


class SessionManager:
    """A worker's session id in Redis, kept alive by use."""

    def __init__(self, redis: "redis.asyncio.Redis", worker_id: str, ttl: int = SESSION_TTL_SECONDS) -> None:
        self._redis = redis
        self._key = session_key(worker_id)
        self._ttl = ttl

    async def get_or_create_session(self) -> str:
        """Return the session id, a new one if there is none, and start its time to live (seconds) anew."""
        fresh = json.dumps({"session_id": str(uuid4())})
        await self._redis.set(self._key, fresh, ex=self._ttl, nx=True)
        stored: Any = await self._redis.getex(self._key, ex=self._ttl)
        session_id = json.loads(stored or fresh)["session_id"]
        return str(session_id)


class SessionFile:
    """The id of the conversation that goes on in this home."""

    def __init__(self, directory: Path, session_id: str | None = None) -> None:
        path = directory / "session.json"
        stored = read_json(path).get("session_id")
        known = stored if isinstance(stored, str) else None
        self.session_id = session_id or known or str(uuid4())
        if self.session_id != known:
            write_json(path, {"session_id": self.session_id})
