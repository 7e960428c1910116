"""Workflows are dispatched once, found by their correlation, and ended only by what was read back."""

import json
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from apps.projects import dispatching, services
from apps.projects.forge import base, hosting
from apps.projects.forge.hosting import RunLog, RunStatus
from apps.projects.models import Dispatch, DispatchStatus, Project, ProjectSecret
from apps.projects.tools import Tools
from tests.factories import make_project, make_secret, make_task
from tests.fakes_forge import GitSource
from tests.fakes_hosting import FakeGitHost

pytestmark = [pytest.mark.service, pytest.mark.django_db]

TOKEN = "123456789:" + "A" * 35


class Site:
    """A project on a git host in memory, and one dispatch of its deploy workflow."""

    def __init__(self, place: Path) -> None:
        source = GitSource(place)
        sha = source.commit_files({"README.md": b"Books"})
        self.git = FakeGitHost()
        self.project = make_project(status="active", forge="github", head_sha=sha)
        spec = base.RepositorySpec(project_id=str(self.project.pk), name=self.project.slug)
        repository = self.git.ensure_repository(spec)
        self.git.push(repository, source=place, sha=sha, branch="main", expected=None)
        Project.objects.filter(pk=self.project.pk).update(
            repository_id=repository.id, repository_url=repository.url
        )
        self.task = make_task(project=self.project, type="deploy", spec="")
        self.sha = sha
        self.now = timezone.now()
        self.telegram = "http://127.0.0.1:1"

    def ask(self, key: str = "run-1", **changes: Any) -> UUID:
        fields: dict[str, Any] = {
            "project_id": self.project.pk,
            "task_id": self.task.pk,
            "deployment_id": uuid4(),
            "workflow": "main.yml",
            "environment": "production",
            "ref": "main",
            "sha": self.sha,
            "inputs": {"sha": self.sha, "correlation": "not ours to say"},
            "access": {"DEPLOY_HOST": "203.0.113.9"},
            **changes,
        }
        return services.request_dispatch(idempotency_key=key, request=services.DispatchRequest(**fields))

    def step(self, *, later: float = 0) -> bool:
        self.now += timedelta(seconds=later)
        tools = Tools(
            forge=self.git,
            hosting=self.git,
            scratch=Path("/nowhere"),
            now=lambda: self.now,
            telegram_url=self.telegram,
        )
        return dispatching.reconcile_dispatch(dispatch_id=self.row.pk, tools=tools)

    def drive(self) -> Dispatch:
        while self.step():
            pass
        return self.row

    @property
    def row(self) -> Dispatch:
        return Dispatch.objects.get()

    @property
    def run_id(self) -> int:
        return self.git.host.run_of(str(self.row.pk))

    @property
    def failure(self) -> dict[str, Any]:
        return self.row.failure or {}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "source.git")


@pytest.fixture
def telegram() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.path == f"/bot{TOKEN}/getMe"
            body = json.dumps({"ok": True, "result": {"username": "books_bot"}} if is_known else {}).encode()
            self.send_response(200 if is_known else 401)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class TestTheWay:
    def test_a_run_that_ends_well_leaves_its_address(self, site: Site) -> None:
        site.ask()
        assert site.drive().status == DispatchStatus.RUNNING
        site.git.host.finish_run(site.run_id, RunStatus.SUCCEEDED, url="https://books.example")

        row = site.drive()

        assert (row.status, row.url) == ("succeeded", "https://books.example")
        assert row.finished_at is not None

    def test_asked_twice_is_dispatched_once(self, site: Site) -> None:
        assert site.ask() == site.ask()

        site.drive()
        site.drive()

        assert len(site.git.host.dispatched) == 1

    def test_a_second_dispatch_waits_for_the_end_of_the_first(self, site: Site) -> None:
        site.ask()

        with pytest.raises(services.DispatchUnderWay):
            site.ask("run-2")

    def test_an_older_host_names_no_run_and_it_is_found_by_its_correlation(self, site: Site) -> None:
        site.git.host.returns_run_ids = False
        site.ask()
        site.drive()

        site.step(later=10)

        assert site.row.run_id == site.run_id

    def test_it_is_looked_at_ever_less_often(self, site: Site) -> None:
        site.ask()
        site.drive()
        first = site.row.poll_at

        site.step(later=400)

        assert first is not None
        assert site.row.poll_at is not None
        assert (site.row.poll_at - site.now) > (first - site.row.created_at)

    def test_a_deployment_of_another_run_is_not_its_own(self, site: Site) -> None:
        site.ask()
        site.drive()
        site.git.host.finish_run(site.run_id, RunStatus.SUCCEEDED)
        report = hosting.HostDeployment(
            sha=site.sha,
            environment="production",
            state="success",
            url="https://other.example",
            payload={"correlation": "another"},
        )
        site.git.host.held().deployments.append(report)

        assert site.drive().url == ""

    def test_images_are_read_from_its_report_and_bounded(self, site: Site) -> None:
        site.ask()
        site.drive()
        site.git.host.finish_run(site.run_id, RunStatus.SUCCEEDED)
        images = {f"image-{number}": "sha256:" + "a" * 900 for number in range(100)}
        payload = {"correlation": str(site.row.pk), "images": images}
        report = hosting.HostDeployment(
            sha=site.sha, environment="production", state="success", url="https://x.example", payload=payload
        )
        site.git.host.held().deployments.append(report)

        row = site.drive()

        assert (len(row.images), len(row.images["image-0"])) == (20, 200)


class TestCrashes:
    def test_a_run_that_was_started_before_a_kill_is_adopted(self, site: Site) -> None:
        site.ask()
        site.step()
        Dispatch.objects.update(tries=1, appear_by=site.now + timedelta(seconds=45))
        spec = hosting.DispatchSpec(workflow="main.yml", ref="main", correlation=str(site.row.pk))
        site.git.dispatch(site.git.host.held().repository, spec)

        site.drive()

        assert (site.row.status, len(site.git.host.dispatched)) == ("running", 1)

    def test_a_start_nobody_knows_of_is_asked_for_once_more(self, site: Site) -> None:
        site.ask()
        site.step()
        site.git.host.fail("dispatch", base.ForgeUnavailable())
        site.step()
        assert site.row.status == DispatchStatus.DISPATCHING

        site.step(later=10)
        assert not site.git.host.dispatched
        site.step(later=60)

        assert (site.row.status, len(site.git.host.dispatched)) == ("running", 1)

    def test_accepted_and_never_run_ends_in_words(self, site: Site) -> None:
        site.git.host.loses_dispatches = True
        site.ask()
        site.drive()

        site.step(later=200)

        assert (site.row.status, site.failure["code"]) == ("failed", "workflow_not_started")
        assert "Actions" in site.failure["message"]
        assert len(site.git.host.dispatched) == 1

    def test_a_run_that_its_id_does_not_find_yet_is_waited_for(self, site: Site) -> None:
        site.ask()
        site.git.host.fail("read_run", hosting.RunNotFound())

        assert site.drive().status == DispatchStatus.DISPATCHING
        site.step(later=10)

        assert (site.row.status, len(site.git.host.dispatched)) == ("running", 1)

    def test_an_id_without_a_run_ends_in_words(self, site: Site) -> None:
        site.ask()
        for _ in range(3):
            site.git.host.fail("read_run", hosting.RunNotFound())
        site.drive()

        site.step(later=60)
        assert site.row.status == DispatchStatus.DISPATCHING
        site.step(later=200)

        assert (site.row.status, site.failure["code"]) == ("failed", "workflow_not_started")
        assert len(site.git.host.dispatched) == 1

    def test_a_workflow_that_the_host_does_not_know_yet_is_waited_for(self, site: Site) -> None:
        known, site.git.host.workflows = site.git.host.workflows, set()
        site.ask()
        site.drive()
        assert site.row.status == DispatchStatus.DISPATCHING

        site.git.host.workflows = known
        site.step(later=10)

        assert site.row.status == DispatchStatus.RUNNING

    def test_rate_limits_are_no_tries(self, site: Site) -> None:
        site.ask()
        site.step()
        for _ in range(dispatching.MAX_TRIES + 1):
            site.git.host.fail("dispatch", hosting.ForgeRateLimited(details={"retry_after": 60}))
            site.step(later=120)
            assert (site.row.status, site.row.tries) == ("dispatching", 0)

        site.step(later=120)

        assert (site.row.status, len(site.git.host.dispatched)) == ("running", 1)

    def test_a_host_that_is_away_is_waited_for(self, site: Site) -> None:
        site.ask()
        site.drive()
        site.git.host.down = True
        site.step(later=60)
        site.git.host.down = False
        site.git.host.finish_run(site.run_id, RunStatus.SUCCEEDED, url="https://books.example")

        assert site.drive().status == DispatchStatus.SUCCEEDED

    def test_a_repository_that_is_gone_takes_its_run_with_it(self, site: Site) -> None:
        site.ask()
        site.drive()
        site.git.host.fail("read_run", base.RepositoryNotFound())

        site.step(later=60)

        assert (site.row.status, site.failure["code"]) == ("failed", "repository_not_found")
        assert site.failure["kind"] == "user"

    def test_a_rate_limit_is_kept(self, site: Site) -> None:
        site.ask()
        site.drive()
        site.git.host.fail("read_run", hosting.ForgeRateLimited(details={"retry_after": 300}))

        site.step()

        assert site.row.poll_at is not None
        assert site.row.poll_at >= site.now + timedelta(seconds=300)

    def test_a_permission_that_was_taken_away_does_not_free_the_fence(self, site: Site) -> None:
        site.ask()
        site.drive()
        site.git.host.fail("read_run", hosting.ForgeForbidden())

        site.step()

        assert site.row.status == DispatchStatus.RUNNING


class TestEnds:
    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (RunStatus.FAILED, "workflow_failed", "provider"),
            (RunStatus.CANCELED, "workflow_canceled", "user"),
            (RunStatus.TIMED_OUT, "workflow_timed_out", "provider"),
            (RunStatus.ACTION_REQUIRED, "workflow_action_required", "user"),
            (RunStatus.BROKEN, "workflow_broken", "user"),
        ],
    )
    def test_every_end_of_a_run_has_its_words(
        self, site: Site, status: RunStatus, code: str, kind: str
    ) -> None:
        site.ask()
        site.drive()
        site.git.host.finish_run(site.run_id, status)

        row = site.drive()

        assert (row.status, site.failure["code"], site.failure["kind"]) == ("failed", code, kind)

    def test_the_log_of_a_failed_step_is_kept(self, site: Site) -> None:
        site.ask()
        site.drive()
        log = RunLog(job="deploy", step="Build", excerpt="E \x1b[31merror " + "x" * 50_000)
        site.git.host.finish_run(site.run_id, RunStatus.FAILED, log=log)

        row = site.drive()

        assert row.log is not None
        assert (row.log["job"], row.log["step"], len(row.log["excerpt"])) == ("deploy", "Build", 8_000)

    def test_a_missing_workflow_names_what_to_look_at(self, site: Site) -> None:
        site.git.host.workflows = set()
        site.ask()
        site.drive()

        site.step(later=60)

        assert (site.row.status, site.failure["code"]) == ("failed", "workflow_not_found")
        assert "project.yaml" in site.failure["message"]

    def test_a_branch_that_moved_is_not_deployed_as_the_commit(self, site: Site) -> None:
        site.ask(sha="ab" * 20)
        site.drive()
        assert site.row.status == DispatchStatus.CANCELING

        site.step(later=10)

        assert (site.row.status, site.failure["code"]) == ("canceled", "deploy_branch_moved")
        assert site.git.read_run(site.git.host.held().repository, site.run_id).status is RunStatus.CANCELED

    def test_a_rollback_runs_the_workflow_of_today_for_a_commit_of_before(self, site: Site) -> None:
        site.ask(sha="ab" * 20, is_rollback=True)

        assert site.drive().status == DispatchStatus.RUNNING


class TestCancel:
    def test_at_the_limit_the_run_is_canceled_and_proven_so(self, site: Site) -> None:
        site.git.host.ignores_cancels = True
        site.ask()
        site.drive()

        site.step(later=1_801)
        for _ in range(3):
            site.step(later=60)
        assert site.row.status == DispatchStatus.CANCELING
        site.git.host.ignores_cancels = False
        for _ in range(2):
            site.step(later=60)

        assert (site.row.status, site.failure["code"]) == ("canceled", "deploy_timeout")
        assert site.git.calls.count("cancel_run") >= 3

    def test_one_that_ended_well_after_all_is_what_there_is(self, site: Site) -> None:
        site.ask()
        site.drive()
        services.cancel_dispatch(dispatch_id=site.row.pk)
        site.git.host.finish_run(site.run_id, RunStatus.SUCCEEDED, url="https://books.example")

        row = site.drive()

        assert (row.status, row.url, row.failure) == ("succeeded", "https://books.example", None)

    def test_one_that_was_not_begun_ends_at_once(self, site: Site) -> None:
        services.cancel_dispatch(dispatch_id=site.ask())

        assert site.row.status == DispatchStatus.CANCELED
        assert not site.step()
        assert not site.git.host.dispatched

    def test_one_whose_start_nobody_knows_of_is_looked_for(self, site: Site) -> None:
        site.ask()
        site.step()
        site.git.host.fail("dispatch", base.ForgeUnavailable())
        site.step()
        services.cancel_dispatch(dispatch_id=site.row.pk)

        site.step(later=10)
        assert site.row.status == DispatchStatus.CANCELING
        site.step(later=60)

        assert site.row.status == DispatchStatus.CANCELED


class TestSecrets:
    def test_values_leave_our_database_once_the_host_has_them(self, site: Site) -> None:
        make_secret(project=site.project, key="SIGNING_KEY", value="sesame", digest="d")
        make_secret(project=site.project, key="NOT_ASKED_FOR", value="kept", digest="e")
        site.ask(secret_keys=("SIGNING_KEY",))

        row = site.drive()

        assert site.git.host.held().secrets == {"SIGNING_KEY": "sesame", "DEPLOY_HOST": "203.0.113.9"}
        stored = ProjectSecret.objects.get(key="SIGNING_KEY")
        assert (stored.value, stored.digest) == ("", "d")
        assert stored.stored_at is not None
        assert ProjectSecret.objects.get(key="NOT_ASKED_FOR").value == "kept"
        assert row.access == "{}"

    def test_a_value_the_host_lost_is_asked_for_again(self, site: Site) -> None:
        make_secret(project=site.project, key="API_KEY", value="", stored_at=timezone.now())
        site.ask(secret_keys=("API_KEY",))

        site.drive()

        assert (site.failure["code"], site.failure["details"]["keys"]) == ("secret_lost", ["API_KEY"])
        assert not ProjectSecret.objects.exists()

    def test_a_bot_is_shown_to_telegram_before_its_token_goes(self, site: Site, telegram: str) -> None:
        site.telegram = telegram
        make_secret(project=site.project, key="BOT", value=TOKEN, format="telegram_bot_token", digest="d")
        site.ask(secret_keys=("BOT",))

        assert site.drive().bots["BOT"]["bot"] == "books_bot"

    def test_a_token_that_telegram_does_not_know_goes_nowhere(self, site: Site, telegram: str) -> None:
        site.telegram = telegram
        make_secret(
            project=site.project, key="BOT", value="1" + TOKEN, format="telegram_bot_token", digest="d"
        )
        site.ask(secret_keys=("BOT",))

        site.drive()

        assert (site.row.status, site.failure["code"]) == ("failed", "bot_token_refused")
        assert not site.git.host.held().secrets
        assert not ProjectSecret.objects.exists()

    def test_telegram_out_of_reach_is_waited_for(self, site: Site) -> None:
        make_secret(project=site.project, key="BOT", value=TOKEN, format="telegram_bot_token", digest="d")
        site.ask(secret_keys=("BOT",))

        site.drive()

        assert site.row.status == DispatchStatus.PENDING
        assert not site.git.host.held().secrets

    def test_a_value_the_host_refuses_is_the_persons_failure(self, site: Site) -> None:
        make_secret(project=site.project, key="BIG", value="x" * 60_000, digest="d")
        site.ask(secret_keys=("BIG",))

        site.drive()

        assert (site.failure["code"], site.failure["kind"]) == ("secret_refused", "user")
        assert ProjectSecret.objects.get().value
