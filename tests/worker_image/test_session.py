"""Sessions: in Redis with a time to live, and in the worker's home."""

from pathlib import Path

import pytest
from fakeredis import FakeAsyncRedis

from worker_image.session import SessionFile, SessionManager

pytestmark = pytest.mark.unit
KEY = "worker:session:worker-1"


class TestSessionManager:
    async def test_creates_new_session_if_not_exists(self) -> None:
        redis = FakeAsyncRedis()

        session_id = await SessionManager(redis, worker_id="worker-1").get_or_create_session()

        assert len(session_id) == 36

    async def test_returns_existing_session(self) -> None:
        redis = FakeAsyncRedis()
        await redis.set(KEY, '{"session_id": "existing-123"}')

        session_id = await SessionManager(redis, worker_id="worker-1").get_or_create_session()

        assert session_id == "existing-123"

    async def test_session_has_ttl(self) -> None:
        redis = FakeAsyncRedis()

        await SessionManager(redis, worker_id="worker-1", ttl=7200).get_or_create_session()

        assert 0 < await redis.ttl(KEY) <= 7200

    async def test_updates_session_on_each_access(self) -> None:
        redis = FakeAsyncRedis()
        manager = SessionManager(redis, worker_id="worker-1", ttl=7200)
        first = await manager.get_or_create_session()
        await redis.expire(KEY, 60)

        second = await manager.get_or_create_session()

        assert second == first
        assert await redis.ttl(KEY) > 7000


class TestSessionFile:
    def test_id_of_the_control_plane_wins(self, tmp_path: Path) -> None:
        SessionFile(tmp_path, "old")

        assert SessionFile(tmp_path, "new").session_id == "new"

    def test_own_id_survives_a_restart(self, tmp_path: Path) -> None:
        first = SessionFile(tmp_path).session_id

        assert SessionFile(tmp_path).session_id == first

    def test_unreadable_file_means_a_new_conversation(self, tmp_path: Path) -> None:
        (tmp_path / "session.json").write_text("{")

        assert len(SessionFile(tmp_path).session_id) == 36
