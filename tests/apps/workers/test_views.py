"""Agent choices and dead letters, for operators."""

import pytest
from rest_framework.test import APIClient

from apps.workers.models import AgentConfig, DeadLetter
from tests.factories import make_user, make_worker

pytestmark = [pytest.mark.service, pytest.mark.django_db]


@pytest.fixture
def operator() -> APIClient:
    client = APIClient()
    client.force_authenticate(make_user(is_staff=True))
    return client


def letter(payload="{}", **fields):
    return DeadLetter.objects.create(stream="s", entry_id="1-0", payload=payload, reason="bad", **fields)


def test_worker_shows_nothing_to_act_with(operator):
    worker = make_worker()

    shown = operator.get(f"/api/workers/{worker.pk}/").content.decode()

    assert worker.token_sha256 not in shown
    assert worker.password_sha256 not in shown


def test_worker_tells_how_alive_it_is_in_the_readers_language(operator):
    worker = make_worker(verdict="stalled", verdict_ground="silence")

    shown = operator.get(f"/api/workers/{worker.pk}/", headers={"Accept-Language": "ru"}).json()["liveness"]

    assert (shown["verdict"], shown["ground"]) == ("stalled", "silence")
    assert shown["text"].startswith("Застыл: ни вывода")
    assert shown["since"]


def test_workers_that_wait_show_their_place_in_the_line(operator, settings, django_assert_max_num_queries):
    settings.WORKERS_MAX_CONCURRENT = 1
    runs = make_worker(config={"memory_mb": 512, "cpus": 0.5})
    waiting = [make_worker(status="pending") for _ in range(3)]

    with django_assert_max_num_queries(12):
        rows = operator.get("/api/workers/").json()["results"]

    shown = {row["id"]: row for row in rows}
    assert [shown[str(worker.pk)]["queue"]["position"] for worker in waiting] == [1, 2, 3]
    assert shown[str(runs.pk)]["queue"] is None
    assert shown[str(runs.pk)]["limits"] == {"memory_mb": 512, "cpus": 0.5}


class TestAgentConfigs:
    def test_taken_name_is_a_conflict(self, operator):
        AgentConfig.objects.create(name="mine", agent_type="rehearsal")

        answer = operator.post("/api/agent_configs/", {"name": "mine", "agent_type": "claude"}, format="json")

        assert (answer.status_code, answer.json()["error"]) == (409, "agent_config_exists")

    def test_change_to_a_taken_name_is_a_conflict(self, operator):
        AgentConfig.objects.create(name="mine", agent_type="rehearsal")
        other = AgentConfig.objects.create(name="other", agent_type="rehearsal")

        answer = operator.patch(f"/api/agent_configs/{other.pk}/", {"name": "mine"}, format="json")

        assert answer.status_code == 409

    def test_unsaid_fields_stay(self, operator):
        row = AgentConfig.objects.create(name="mine", agent_type="rehearsal", is_active=False, model="large")

        operator.patch(f"/api/agent_configs/{row.pk}/", {"system_prompt": "be kind"}, format="json")

        row.refresh_from_db()
        assert (row.is_active, row.model, row.system_prompt) == (False, "large", "be kind")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"name": "a", "agent_type": "oracle"}, "agent_type"),
            ({"name": "a" * 61, "agent_type": "claude"}, "name"),
            ({"name": "a", "agent_type": "claude", "api_key": "x"}, "api_key"),
            ({"name": "a", "agent_type": "claude", "memory_mb": 1}, "memory_mb"),
            ({"name": "a", "agent_type": "claude", "cpus": -1}, "cpus"),
        ],
    )
    def test_bad_words_are_refused_by_field(self, operator, body, field):
        answer = operator.post("/api/agent_configs/", body, format="json")

        assert (answer.status_code, list(answer.json()["details"])) == (400, [field])


class TestDeadLetters:
    @pytest.mark.parametrize("payload", ["{}", "not json", "[]", '{"data": "{"}'])
    def test_what_cannot_be_read_today_either_stays_pending(self, operator, payload):
        row = letter(payload, worker_id=make_worker().pk)

        answer = operator.post(f"/api/dead_letters/{row.pk}/replay/")

        assert (answer.status_code, answer.json()["error"]) == (400, "still_unreadable")
        assert row.reload().status == "pending"

    def test_discarded_one_is_not_replayed(self, operator):
        row = letter()
        operator.post(f"/api/dead_letters/{row.pk}/discard/")

        answer = operator.post(f"/api/dead_letters/{row.pk}/replay/")

        assert (answer.status_code, row.reload().status) == (409, "discarded")
