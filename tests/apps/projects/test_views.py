"""Projects, tasks and timelines over REST."""

import json
import os
import sys
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from rest_framework.test import APIClient

from apps.projects import timeline
from apps.projects.models import IdempotencyRecord, Project, ProjectSecret, ProjectStatus, Task, TaskStatus
from tests.factories import make_merge_request, make_project, make_secret, make_task, make_user

pytestmark = [pytest.mark.service, pytest.mark.django_db]


class Outside:
    """Notes whom this process calls and which programs it starts while it is watched."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._is_watching = False
        # An audit hook stays for the life of the process; it does nothing unless it is told to watch.
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._is_watching and event in {"socket.connect", "subprocess.Popen", "os.system"}:
            self.seen.append(f"{event} {arguments}")

    def __enter__(self) -> "Outside":
        self.seen.clear()
        self._is_watching = True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_watching = False


OUTSIDE = Outside()


def commands_of(server: Any) -> dict[str, int]:
    """How often each command was carried out, without our own question."""
    stats = server.info("commandstats")
    ours = (
        "cmdstat_info",
        "cmdstat_ping",
        "cmdstat_hello",
        "cmdstat_client",
        "cmdstat_auth",
        "cmdstat_select",
    )
    return {name: entry["calls"] for name, entry in stats.items() if not name.startswith(ours)}


@pytest.fixture
def owner() -> Any:
    return make_user()


@pytest.fixture
def api(owner: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture
def project(owner: Any) -> Project:
    return make_project(owner=owner, status=ProjectStatus.ACTIVE)


def task_body(project: Project, **changes: Any) -> dict[str, Any]:
    return {"project_id": str(project.pk), "type": "engineering", "spec": "an inventory of books", **changes}


@pytest.mark.django_db(transaction=True)
class TestPlainPostsOnlyWriteTheDatabase:
    """The seed's P1.0."""

    @pytest.fixture(autouse=True)
    def _requests_are_counted_here(self, settings):
        settings.CACHES = {**settings.CACHES, "shared": settings.CACHES["default"]}

    def test_post_tasks_no_redis_publish(self, api, project, broker, channel):
        before = commands_of(broker), commands_of(channel)

        answer = api.post("/api/tasks/", task_body(project), format="json")

        assert answer.status_code == 201
        assert (commands_of(broker), commands_of(channel)) == before
        assert (broker.dbsize(), channel.dbsize()) == (0, 0)

    def test_post_tasks_no_github_calls(self, api, project):
        connection.ensure_connection()
        with OUTSIDE:
            answer = api.post("/api/tasks/", task_body(project), format="json")

        assert answer.status_code == 201
        assert [call for call in OUTSIDE.seen if str(connection.settings_dict["PORT"]) not in call] == []

    def test_post_projects_pure_db(self, api, broker, channel, var_dir):
        before, places = (commands_of(broker), commands_of(channel)), set(os.listdir(var_dir))
        connection.ensure_connection()
        with OUTSIDE:
            answer = api.post("/api/projects/", {"name": "Books"}, format="json")

        assert answer.status_code == 201
        assert answer.json()["status"] == "draft"
        assert [call for call in OUTSIDE.seen if str(connection.settings_dict["PORT"]) not in call] == []
        assert (commands_of(broker), commands_of(channel)) == before
        assert set(os.listdir(var_dir)) == places

    def test_patch_only_writes_the_database_too(self, api, project, broker, channel):
        before = commands_of(broker), commands_of(channel)

        answer = api.patch(f"/api/projects/{project.pk}/", {"description": "other"}, format="json")

        assert answer.json()["description"] == "other"
        assert (commands_of(broker), commands_of(channel)) == before


class TestProjects:
    def test_draft_is_returned_with_its_slug_and_owner(self, api, owner):
        answer = api.post("/api/projects/", {"name": "My Books", "description": "все книги"}, format="json")

        body = answer.json()
        assert (body["slug"], body["owner_id"], body["modules"]) == ("my-books", owner.pk, ["backend"])
        assert body["description"] == "все книги"

    def test_same_name_twice_differs_by_slug(self, api):
        first = api.post("/api/projects/", {"name": "Books"}, format="json").json()

        second = api.post("/api/projects/", {"name": "Books"}, format="json").json()

        assert first["name"] == second["name"]
        assert first["slug"] != second["slug"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"),
            ({"name": ""}, "name"),
            ({"name": "x" * 10_000}, "name"),
            ({"name": "bell \x07"}, "name"),
            ({"name": "nul \x00"}, "name"),
            ({"name": "\ud800"}, "name"),
            ({"name": None}, "name"),
            ({"name": ["a"]}, "name"),
            ({"name": {"a": 1}}, "name"),
            ({"name": "a", "modules": ["telepathy"]}, "modules"),
            ({"name": "a", "modules": ["\ud800"]}, "modules"),
            ({"name": "a", "modules": []}, "modules"),
            ({"name": "a", "modules": "backend"}, "modules"),
            ({"name": "a", "modules": ["backend", "backend"]}, "modules"),
            ({"name": "a", "description": "escape \x1b[31m"}, "description"),
            ({"name": "a", "description": "x" * 10_001}, "description"),
            ({"name": "a", "owner_id": 1}, "owner_id"),
            ({"name": "a", "status": "active"}, "status"),
            ({"name": "a", "slug": "mine"}, "slug"),
            ({"name": "a", "\ud800": 1}, "?"),
        ],
    )
    def test_bad_words_are_refused_by_field(self, api, body, field):
        answer = api.post("/api/projects/", json.dumps(body), content_type="application/json")

        assert answer.status_code == 400
        assert list(answer.json()["details"]) == [field]
        assert not Project.objects.exists()

    @pytest.mark.parametrize(
        "content",
        [b"{", b"", b"[]", b'"name"', b"null", b"\xff\xfe", b"[" * 100_000, b'{"name": NaN}', b"9" * 10_000],
    )
    def test_body_that_is_no_object_is_400(self, api, content):
        answer = api.post("/api/projects/", content, content_type="application/json")

        assert answer.status_code == 400
        assert set(answer.json()) == {"error", "message", "details"}

    def test_body_over_the_limit_is_413(self, api):
        content = b'{"name": "' + b"x" * 2_000_000 + b'"}'

        answer = api.post("/api/projects/", content, content_type="application/json")

        assert answer.status_code == 413
        assert answer.json()["error"] == "body_too_large"

    @pytest.mark.parametrize("media", ["text/plain", "multipart/form-data; boundary=x", "application/xml"])
    def test_other_kinds_of_bodies_are_415(self, api, media):
        answer = api.post("/api/projects/", b"name=x", content_type=media)

        assert answer.status_code == 415
        assert answer.json()["error"] == "unsupported_media_type"

    @pytest.mark.parametrize("body", [{"slug": "other"}, {"modules": ["backend"]}, {"name": "\x00"}])
    def test_what_may_not_change_is_refused(self, api, project, body):
        answer = api.patch(f"/api/projects/{project.pk}/", body, format="json")

        assert answer.status_code == 400
        assert list(answer.json()["details"]) == list(body)

    def test_method_that_is_not_there_is_405(self, api, project):
        answer = api.delete(f"/api/projects/{project.pk}/")

        assert answer.status_code == 405
        assert answer.json()["error"] == "method_not_allowed"


class TestSecrets:
    def test_value_is_returned_by_nothing(self, api, project):
        said = api.post(
            f"/api/projects/{project.pk}/secrets/", {"key": "API_KEY", "value": "sesame"}, format="json"
        )

        listed = api.get(f"/api/projects/{project.pk}/secrets/")
        shown = api.get(f"/api/projects/{project.pk}/")

        assert said.status_code == 201
        (told,) = listed.json()
        assert (told["key"], told["source"], told["stored_at"]) == ("API_KEY", "user", None)
        assert "sesame" not in said.content.decode() + listed.content.decode() + shown.content.decode()
        assert ProjectSecret.objects.get().value == "sesame"

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"key": "lower", "value": "sesame"}, "key"),
            ({"key": "PATH", "value": "sesame"}, "key"),
            ({"key": "A", "value": "se\x00same"}, "value"),
            ({"key": "A", "value": "sesame" * 11_000}, "value"),
            ({"key": "A"}, "value"),
        ],
    )
    def test_refusal_names_the_field_and_not_the_value(self, api, project, body, field):
        answer = api.post(f"/api/projects/{project.pk}/secrets/", body, format="json")

        assert answer.status_code == 400
        assert list(answer.json()["details"]) == [field]
        assert "same" not in answer.content.decode()

    def test_projects_do_not_share_them(self, api, project, owner):
        make_secret(project=make_project(owner=owner))

        assert api.get(f"/api/projects/{project.pk}/secrets/").json() == []


class TestTasks:
    @pytest.mark.parametrize(
        ("changes", "code", "field"),
        [
            ({"project_id": "7"}, 400, "project_id"),
            ({"project_id": str(uuid4())}, 404, "project_id"),
            ({"project_id": None}, 400, "project_id"),
            ({"type": "magic"}, 400, "type"),
            ({"spec": ""}, 400, "spec"),
            ({"spec": "x" * 20_001}, 400, "spec"),
            ({"spec": "nul \x00"}, 400, "spec"),
            ({"deploy_after": "perhaps"}, 400, "deploy_after"),
            ({"priority": 1}, 400, "priority"),
        ],
    )
    def test_bad_words_are_refused_by_field(self, api, project, changes, code, field):
        answer = api.post("/api/tasks/", task_body(project, **changes), format="json")

        assert answer.status_code == code
        assert list(answer.json()["details"]) == [field]
        assert not Task.objects.exists()

    def test_project_of_somebody_else_does_not_exist(self, api):
        answer = api.post("/api/tasks/", task_body(make_project(status="active")), format="json")

        assert answer.status_code == 404
        assert answer.json()["details"] == {"project_id": "Not found."}

    @pytest.mark.parametrize(
        ("status", "word"),
        [
            (TaskStatus.PENDING, "queued"),
            (TaskStatus.RUNNING, "running"),
            (TaskStatus.CANCELING, "running"),
            (TaskStatus.SUCCEEDED, "completed"),
            (TaskStatus.FAILED, "failed"),
            (TaskStatus.CRASHED, "failed"),
            (TaskStatus.CANCELED, "cancelled"),
        ],
    )
    def test_status_is_told_in_the_words_of_the_api(self, api, project, status, word):
        task = make_task(project=project, status=status)

        shown = api.get(f"/api/tasks/{task.pk}/").json()
        found = api.get("/api/tasks/", {"status": word}).json()["results"]

        assert shown["status"] == word
        assert [row["id"] for row in found] == [str(task.pk)]

    def test_protected_files_may_be_allowed_by_a_person_when_asking(self, api, project):
        body = task_body(project, allow_protected=True)

        answer = api.post("/api/tasks/", body, format="json")

        assert answer.json()["allow_protected"] is True
        assert Task.objects.get(pk=answer.json()["id"]).allow_protected

    def test_protected_files_are_not_allowed_by_a_worker(self, api, owner, project):
        api.force_authenticate(owner, token=SimpleNamespace(pk="w", allowed_commands=["engineering.start"]))

        refused = api.post("/api/tasks/", task_body(project, allow_protected=True), format="json")
        answer = api.post("/api/tasks/", task_body(project), format="json")

        assert (refused.status_code, answer.status_code) == (403, 201)
        assert answer.json()["allow_protected"] is False

    def test_changes_of_a_task_show_the_pull_request_and_its_checks(self, api, project):
        report = {"sha": "a" * 40, "status": "failed", "run_id": 7, "attempt": 1, "url": "https://h/7"}
        report |= {"job": "check", "step": "Run make check", "excerpt": "E   assert"}
        url = "https://host.example/books/pull/3"
        change = make_merge_request(
            task=make_task(project=project), pull_request=3, pull_request_url=url, checks=report
        )

        (shown,) = api.get(f"/api/tasks/{change.task_id}/changes/").json()["results"]

        assert (shown["id"], shown["pull_request"], shown["pull_request_url"]) == (str(change.pk), 3, url)
        assert shown["checks"] == report

    def test_changes_of_somebody_elses_task_do_not_exist(self, api):
        assert api.get(f"/api/tasks/{make_merge_request().task_id}/changes/").status_code == 404

    def test_failure_is_typed(self, api, project):
        failure = {
            "stage": "checks",
            "kind": "product",
            "code": "checks_failed",
            "message": "1 failed",
            "retryable": False,
            "details": {},
        }
        task = make_task(project=project, status="failed", failure=failure)

        assert api.get(f"/api/tasks/{task.pk}/").json()["failure"] == failure


class TestLists:
    def test_pages_are_newest_first_and_hold_each_row_once(self, api, owner):
        made = [str(make_project(owner=owner).pk) for _ in range(7)]
        seen, address = [], "/api/projects/?page_size=3"
        while address:
            page = api.get(address).json()
            seen += [row["id"] for row in page["results"]]
            address = page["next"]

        assert seen == made[::-1]

    def test_row_added_between_two_pages_repeats_none(self, api, owner):
        made = [str(make_project(owner=owner).pk) for _ in range(4)]
        first = api.get("/api/projects/?page_size=2").json()
        make_project(owner=owner)

        second = api.get(first["next"]).json()

        assert [row["id"] for row in first["results"] + second["results"]] == made[::-1]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"status": "asleep"}, 400),
            ({"name": "\x00"}, 400),
            ({"cursor": "garbage"}, 400),
            ({"page_size": "many"}, 200),
            ({"page_size": "100000"}, 200),
        ],
    )
    def test_strange_queries_are_no_500(self, api, project, query, code):
        assert api.get("/api/projects/", query).status_code == code

    def test_filters_narrow(self, api, owner, project):
        draft = make_project(owner=owner, name="Cats and dogs")

        by_name = api.get("/api/projects/", {"name": "DOGS"}).json()["results"]
        by_status = api.get("/api/projects/", {"status": "active"}).json()["results"]

        assert [row["id"] for row in by_name] == [str(draft.pk)]
        assert [row["id"] for row in by_status] == [str(project.pk)]

    def test_tasks_of_a_project(self, api, owner, project):
        mine = make_task(project=project)
        make_task(project=make_project(owner=owner, status="active"))

        found = api.get("/api/tasks/", {"project_id": str(project.pk)}).json()["results"]
        bad = api.get("/api/tasks/", {"project_id": "x"})

        assert [row["id"] for row in found] == [str(mine.pk)]
        assert (bad.status_code, list(bad.json()["details"])) == (400, ["project_id"])


class TestEvents:
    def test_pages_are_in_order_and_without_gaps(self, api, project):
        task = make_task(project=project)
        for number in range(7):
            timeline.record(task_id=task.pk, key=str(number), kind="agent_progress", data={"n": number})
        seen, address = [], f"/api/tasks/{task.pk}/events/?page_size=3"
        while address:
            page = api.get(address).json()
            seen += [row["seq"] for row in page["results"]]
            address = page["next"]

        assert seen == list(range(1, 8))


class TestIdempotencyKey:
    def test_repeat_gets_the_first_answer_and_has_no_effect(self, api):
        first = api.post("/api/projects/", {"name": "Books"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

        again = api.post("/api/projects/", {"name": "Books"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

        assert (again.status_code, again.json()) == (201, first.json())
        assert again["Idempotent-Replayed"] == "true"
        assert Project.objects.count() == 1

    def test_key_with_another_body_is_a_conflict(self, api):
        api.post("/api/projects/", {"name": "Books"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

        other = api.post("/api/projects/", {"name": "Cats"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

        assert (other.status_code, other.json()["error"]) == (409, "idempotency_key_reused")

    def test_error_is_not_recorded(self, api):
        bad = api.post("/api/projects/", {"name": ""}, format="json", HTTP_IDEMPOTENCY_KEY="k")

        good = api.post("/api/projects/", {"name": "Books"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

        assert (bad.status_code, good.status_code) == (400, 201)
        assert IdempotencyRecord.objects.count() == 1

    def test_keys_of_two_people_are_strangers(self, api):
        api.post("/api/projects/", {"name": "Books"}, format="json", HTTP_IDEMPOTENCY_KEY="k")
        other = APIClient()
        other.force_authenticate(make_user())

        answer = other.post("/api/projects/", {"name": "Books"}, format="json", HTTP_IDEMPOTENCY_KEY="k")

        assert answer.status_code == 201
        assert Project.objects.count() == 2

    @pytest.mark.parametrize("key", ["x" * 201, "a\tb"])
    def test_key_of_a_bad_form_is_refused(self, api, key):
        answer = api.post("/api/projects/", {"name": "Books"}, format="json", HTTP_IDEMPOTENCY_KEY=key)

        assert (answer.status_code, list(answer.json()["details"])) == (400, ["Idempotency-Key"])

    @pytest.mark.django_db(transaction=True)
    def test_repeats_at_one_instant_make_one_row(self, owner, project, run_together):
        def post():
            client = APIClient()
            client.force_authenticate(owner)
            return client.post(
                "/api/tasks/", task_body(project), format="json", HTTP_IDEMPOTENCY_KEY="k"
            ).json()["id"]

        answers = run_together(post, 4)

        assert set(answers) == {str(Task.objects.get().pk)}
