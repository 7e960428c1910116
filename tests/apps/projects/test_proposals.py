"""A verified change goes through a pull request; the git host's checks of that very commit decide."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from apps import storage
from apps.projects import reconciler, selectors, services
from apps.projects.forge import base, hosting
from apps.projects.forge.hosting import CheckStatus, PullRequestState
from apps.projects.models import ForgeName, MergeRequest, MergeRequestStatus
from apps.projects.services import hints
from apps.projects.workspace import ensure_repository
from tests.apps.projects.hosted import HostedBench, after, make_bench
from tests.apps.projects.rig import Killed, KillSwitch, kills
from tests.apps.projects.test_integration import BRANCH
from tests.factories import make_project

pytestmark = [pytest.mark.service, pytest.mark.django_db]

RED = {"job": "check", "step": "Run make check", "excerpt": "E   assert 1 == 2\n3 failed in 2.31s"}


@pytest.fixture
def bench(settings: Any, tmp_path: Path) -> HostedBench:
    return make_bench(settings, tmp_path)


def ended(change: MergeRequest, status: str, code: str, kind: str) -> dict[str, Any]:
    failure: dict[str, Any] = change.failure or {}
    assert (change.status, failure.get("code"), failure.get("kind")) == (status, code, kind), failure
    return failure


class TestScaffold:
    def test_default_branch_is_protected_by_the_checks_of_the_manifest(self, bench):
        assert bench.host.held().protected == {"main": ("check",)}
        assert bench.host.calls.index("push") < bench.host.calls.index("protect_branch")

    @pytest.mark.parametrize(("at", "after_call"), kills(9))
    def test_death_at_any_call_leaves_one_protected_repository(self, bench, at, after_call):
        project, tools = make_project(forge=ForgeName.GITHUB), bench.tools()
        services.request_scaffold(project_id=project.pk)
        switch = KillSwitch(at=at, after=after_call)
        with pytest.raises(Killed):
            reconciler.reconcile_project(project_id=project.pk, tools=switch.wrap(tools))
        interrupted = project.reload().status

        reconciler.reconcile_project(project_id=project.pk, tools=tools)

        repository = ensure_repository(project.reload(), tools)
        assert (interrupted, project.status) == ("scaffolding", "active"), project.failure
        assert bench.host.held(repository).protected == {"main": ("check",)}
        assert bench.forge.head(repository, "main") == project.scaffold_sha

    def test_the_kills_above_cover_every_call(self, bench):
        project, switch = make_project(forge=ForgeName.GITHUB), KillSwitch()
        services.request_scaffold(project_id=project.pk)

        reconciler.reconcile_project(project_id=project.pk, tools=switch.wrap(bench.tools()))

        assert switch.calls == [
            *("ensure_repository", "head", "render", "push", "head"),
            *("read_file", "export_bundle", "save_bundle", "protect_branch"),
        ]

    def test_host_that_is_away_is_waited_for_without_counting_deaths(self, bench, tmp_path):
        bench.host.down = True
        project = bench.project
        type(project).objects.filter(pk=project.pk).update(status="failed")
        services.request_scaffold(project_id=project.pk)
        for _ in range(3):
            reconciler.reconcile_project(project_id=project.pk, tools=bench.tools())
        waiting = project.reload()

        assert (waiting.status, waiting.scaffold_attempts) == ("scaffolding", 0)


class TestPullRequest:
    def test_nothing_is_at_the_host_before_our_verification(self, bench):
        change = bench.opened()

        assert change.status == MergeRequestStatus.OPEN
        assert bench.forge.head(bench.repository(), BRANCH) is None

    def test_verified_commit_is_pushed_and_proposed_in_words_of_our_evidence(self, bench):
        change = bench.reconcile(bench.work_on())

        pull = bench.pull(change)
        assert change.status == MergeRequestStatus.PROPOSED, change.failure
        assert bench.forge.head(bench.repository(), BRANCH) == change.head_sha == pull.head
        assert (pull.branch, pull.into, pull.title) == (BRANCH, "main", "Add books")
        assert "12 of 12 tests passed" in pull.body
        assert change.pull_request_url.endswith("/pull/1")
        assert bench.events(change) == ["pull_request_opened", "host_checks_started"]

    def test_checks_of_exactly_that_commit_decide(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.conclude("f" * 40, CheckStatus.SUCCEEDED)

        waiting = bench.look(change).status
        bench.conclude(change, CheckStatus.SUCCEEDED)

        assert waiting == MergeRequestStatus.PROPOSED
        assert change.status == MergeRequestStatus.MERGED, change.failure
        assert bench.pull(change).state is PullRequestState.MERGED
        assert bench.pull(change).merge_sha == change.merge_sha == bench.project.reload().head_sha
        assert bench.merges() == [str(change.pk)]
        assert bench.events(change)[-1] == "host_checks_passed"

    def test_looks_become_rarer(self, bench):
        change = bench.reconcile(bench.work_on())

        first = change.poll_at - change.proposed_at
        bench.look(change, now=after(minutes=2))
        second = change.poll_at - change.proposed_at

        assert 14 < first.total_seconds() < 20
        assert 149 < second.total_seconds() < 160

    def test_look_before_its_time_asks_nobody(self, bench):
        change = bench.reconcile(bench.work_on())
        before = len(bench.host.calls)

        bench.reconcile(change)

        assert len(bench.host.calls) == before

    def test_news_from_the_host_make_it_due(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.conclude(change.head_sha, CheckStatus.SUCCEEDED)

        stranger = hints.hint_change(project_id=bench.project.pk, head_sha="f" * 40)
        found = hints.hint_change(project_id=bench.project.pk, head_sha=change.head_sha)
        bench.reconcile(change)

        assert (stranger, found) == (0, 1)
        assert change.status == MergeRequestStatus.MERGED

    def test_repository_is_tidy_after_the_merge(self, bench):
        change = bench.settle(bench.work_on())

        bench.look(change)

        assert change.tidied_at is not None
        assert bench.forge.head(bench.repository(), BRANCH) is None
        assert bench.pull(change).state is PullRequestState.MERGED


class TestRedChecks:
    def red(self, bench: HostedBench, change: MergeRequest | None = None, **words: str) -> MergeRequest:
        change = change or bench.work_on()
        return bench.conclude(bench.reconcile(change), CheckStatus.FAILED, **{**RED, **words})

    def test_failure_names_job_step_and_words(self, bench):
        change = self.red(bench)

        failure = ended(change, "refused", "host_checks_failed", "product")
        details = failure["details"]
        assert (failure["stage"], details["job"], details["step"]) == ("checks", "check", "Run make check")
        assert "assert 1 == 2" in details["log_tail"]
        assert details["url"].endswith(f"/actions/runs/{change.checks['run_id']}")
        assert bench.events(change)[-1] == "host_checks_failed"
        assert selectors.get_host_excerpt(merge_request_id=change.pk) == RED["excerpt"]

    def test_equal_reasons_are_counted_by_the_rows_of_the_task(self, bench):
        first = self.red(bench)
        again = bench.commit({"app/books.py": b"again\n"}, first.head_sha)
        second = bench.reconcile(bench.propose(again, task_id=first.task_id))
        self.red(bench, bench.ask(second), excerpt="E   assert 7 == 8\n1 failed in 9.90s")
        third = bench.reconcile(bench.propose(bench.commit({"a.py": b"\n"}, again), task_id=first.task_id))
        self.red(bench, bench.ask(third), excerpt="E   KeyError: 'title'")

        counts = [
            selectors.count_equal_failures(merge_request_id=change.pk) for change in (first, second, third)
        ]

        assert counts == [2, 2, 1]

    def test_next_round_is_the_same_pull_request_with_the_new_evidence(self, bench):
        first = self.red(bench)
        head = bench.commit({"app/books.py": b"better\n"}, first.head_sha)
        second = bench.reconcile(bench.propose(head, task_id=first.task_id))

        bench.settle(bench.ask(second))

        assert (second.status, second.pull_request) == (MergeRequestStatus.MERGED, first.pull_request)
        assert head in bench.pull(second).body
        assert bench.events(second).count("pull_request_opened") == 1


class TestFlakes:
    @pytest.mark.parametrize("status", [CheckStatus.CANCELED, CheckStatus.TIMED_OUT, CheckStatus.BROKEN])
    def test_machine_that_failed_is_given_one_more_chance(self, bench, status):
        change = bench.conclude(bench.reconcile(bench.work_on()), status)
        asked = list(bench.host.reruns)

        bench.conclude(change, CheckStatus.SUCCEEDED)

        assert asked == bench.host.reruns == [change.checks["run_id"]]
        assert change.status == MergeRequestStatus.MERGED, change.failure
        assert "host_checks_failed" not in bench.events(change)

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (CheckStatus.CANCELED, "host_checks_canceled"),
            (CheckStatus.TIMED_OUT, "host_checks_timed_out"),
            (CheckStatus.BROKEN, "host_checks_broken"),
        ],
    )
    def test_second_time_is_the_hosts_failure(self, bench, status, code):
        change = bench.conclude(bench.reconcile(bench.work_on()), status)

        bench.conclude(change, status)

        failure = ended(change, "refused", code, "provider")
        assert failure["retryable"]
        assert len(bench.host.reruns) == 1

    def test_rerun_that_a_crash_swallowed_is_asked_for_again(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.conclude(change.head_sha, CheckStatus.BROKEN)
        switch = KillSwitch(at=3)
        MergeRequest.objects.filter(pk=change.pk).update(poll_at=None)
        with pytest.raises(Killed, match="rerun"):
            reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=switch.wrap(bench.tools()))
        soon = list(bench.look(change) and bench.host.reruns)

        bench.look(change, now=after(minutes=2))

        assert (soon, len(bench.host.reruns)) == ([], 1)
        assert (change.status, change.reruns) == (MergeRequestStatus.PROPOSED, 1)

    def test_check_that_is_no_workflow_cannot_be_run_again(self, bench):
        change = bench.reconcile(bench.work_on())
        report = bench.host.conclude(change.head_sha, CheckStatus.CANCELED)
        bench.host.held().reports[change.head_sha, "check"] = hosting.CheckReport(
            sha=report.sha, status=report.status
        )

        bench.look(change)

        ended(change, "refused", "host_checks_canceled", "provider")


class TestOtherEnds:
    def test_merge_by_a_person_of_the_verified_commit_counts(self, bench):
        change = bench.reconcile(bench.work_on())
        merged = bench.host.merge_as_person(1)

        bench.look(change)

        assert (change.status, change.merge_sha) == (MergeRequestStatus.MERGED, merged)
        assert bench.project.reload().head_sha == merged

    def test_merge_by_a_person_between_our_look_and_our_merge_counts(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.conclude(change.head_sha, CheckStatus.SUCCEEDED)
        bench.host.fail("merge", hosting.ForgeRefused(), hosting.ForgeRefused())
        MergeRequest.objects.filter(pk=change.pk).update(poll_at=None)
        bench.look(change)
        merged = bench.host.merge_as_person(1)

        bench.look(change)

        assert (change.status, change.merge_sha) == (MergeRequestStatus.MERGED, merged), change.failure

    def test_merge_by_a_person_of_another_commit_is_theirs(self, bench, tmp_path):
        change = bench.reconcile(bench.work_on())
        other = bench.commit({"app/theirs.py": b"pass\n"}, change.head_sha)
        bench.forge.push(
            bench.repository(), source=bench.work.path, sha=other, branch=BRANCH, expected=change.head_sha
        )
        bench.host.merge_as_person(1)

        bench.look(change)

        ended(change, "refused", "merged_otherwise", "user")

    def test_commits_of_others_are_neither_merged_nor_overwritten_nor_deleted(self, bench):
        change = bench.reconcile(bench.work_on())
        other = bench.commit({"app/theirs.py": b"pass\n"}, change.head_sha)
        bench.forge.push(
            bench.repository(), source=bench.work.path, sha=other, branch=BRANCH, expected=change.head_sha
        )
        bench.host.conclude(change.head_sha, CheckStatus.SUCCEEDED)

        waiting = bench.look(change).status
        bench.look(change, now=after(minutes=3))
        services.tidy_changes(task_id=change.task_id)
        bench.look(change)

        assert waiting == MergeRequestStatus.PROPOSED
        ended(change, "refused", "branch_taken_over", "user")
        assert change.tidied_at is not None
        assert bench.forge.head(bench.repository(), BRANCH) == other

    def test_branch_that_a_stranger_made_is_left_alone(self, bench):
        change = bench.work_on()
        other = bench.commit({"app/theirs.py": b"pass\n"})
        bench.forge.push(bench.repository(), source=bench.work.path, sha=other, branch=BRANCH, expected=None)

        bench.reconcile(change)

        ended(change, "refused", "branch_taken_over", "user")

    def test_commit_of_another_between_our_look_and_our_merge_is_theirs(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.conclude(change.head_sha, CheckStatus.SUCCEEDED)
        bench.host.fail("merge", base.BranchMoved("The pull request has another head"))

        bench.look(change)

        ended(change, "refused", "branch_taken_over", "user")

    def test_closed_pull_request_is_a_persons_no(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.close_as_person(1)

        bench.look(change)

        ended(change, "refused", "pull_request_closed", "user")

    def test_action_of_a_person_is_asked_for_with_the_page(self, bench):
        change = bench.conclude(bench.reconcile(bench.work_on()), CheckStatus.ACTION_REQUIRED)

        failure = ended(change, "refused", "host_action_required", "user")
        assert "/actions/runs/" in failure["details"]["url"]

    def test_check_that_never_begins_is_waited_for_so_long(self, bench):
        change = bench.reconcile(bench.work_on())

        waiting = bench.look(change, now=after(minutes=9)).status
        bench.look(change, now=after(minutes=11))

        assert waiting == MergeRequestStatus.PROPOSED
        failure = ended(change, "refused", "host_checks_missing", "provider")
        assert failure["details"]["checks"] == "check"

    def test_checks_that_never_end_are_late(self, bench):
        bench.host.unconcluded = CheckStatus.PENDING
        change = bench.reconcile(bench.work_on())

        waiting = bench.look(change, now=after(minutes=20)).status
        bench.look(change, now=after(minutes=26))

        assert waiting == MergeRequestStatus.PROPOSED
        ended(change, "refused", "host_checks_late", "provider")

    def test_protected_branch_that_refuses_is_asked_again_and_then_believed(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.conclude(change.head_sha, CheckStatus.SUCCEEDED)
        words = "Changes need an approving review"
        bench.host.fail("merge", *(hosting.ForgeRefused(words) for _ in range(9)))

        waiting = bench.look(change).status
        for _ in range(3):
            bench.look(change)

        assert waiting == MergeRequestStatus.MERGING
        failure = ended(change, "refused", "forge_refused", "provider")
        assert words in failure["message"]

    def test_host_that_is_away_is_waited_for_with_growing_pauses(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.down = True
        pauses = []
        for _ in range(3):
            bench.look(change)
            pauses.append(round((change.poll_at - change.heartbeat_at).total_seconds()))
        bench.host.down = False

        bench.settle(change)

        assert pauses == [15, 30, 60]
        assert change.status == MergeRequestStatus.MERGED

    def test_told_pause_is_kept(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.fail("read_pull_request", hosting.ForgeRateLimited(details={"retry_after": 300}))

        bench.look(change)

        assert (change.poll_at - change.heartbeat_at).total_seconds() == pytest.approx(300, abs=1)

    def test_host_that_stays_away_is_our_failure_at_the_deadline(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.host.down = True

        bench.look(change, now=after(minutes=26))

        ended(change, "crashed", "forge_unavailable", "platform")

    def test_lacking_permission_is_the_operators(self, bench):
        change = bench.work_on()
        bench.host.fail("open_pull_request", hosting.ForgeForbidden(details={"permission": "pull_requests"}))

        bench.reconcile(change)

        failure = ended(change, "refused", "forge_forbidden", "provider")
        assert failure["details"]["permission"] == "pull_requests"


class TestCancel:
    def test_withdrawn_pull_request_is_closed_and_its_branch_deleted(self, bench):
        change = bench.reconcile(bench.work_on())

        services.withdraw_change(merge_request_id=change.pk)
        services.tidy_changes(task_id=change.task_id)
        bench.reconcile(change)

        assert (change.status, change.tidied_at is None) == (MergeRequestStatus.CANCELED, False)
        assert bench.pull(change).state is PullRequestState.CLOSED
        assert bench.forge.head(bench.repository(), BRANCH) is None

    @pytest.mark.parametrize(("at", "after_call"), kills(6))
    def test_cancel_after_a_death_at_any_call_leaves_nothing_behind(self, bench, at, after_call):
        change = bench.work_on()
        switch = KillSwitch(at=at, after=after_call)
        with pytest.raises(Killed):
            reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=switch.wrap(bench.tools()))

        services.withdraw_change(merge_request_id=change.pk)
        services.tidy_changes(task_id=change.task_id)
        bench.reconcile(change)

        assert change.reload().tidied_at is not None
        assert bench.forge.head(bench.repository(), BRANCH) is None

    def test_host_that_is_away_is_tidied_later(self, bench):
        change = bench.reconcile(bench.work_on())
        services.withdraw_change(merge_request_id=change.pk)
        services.tidy_changes(task_id=change.task_id)
        bench.host.down = True
        bench.reconcile(change)
        waiting = change.tidied_at
        bench.host.down = False

        bench.look(change)

        assert (waiting, change.tidied_at is None) == (None, False)

    def test_tidying_is_given_up_after_a_day(self, bench):
        change = bench.reconcile(bench.work_on())
        services.withdraw_change(merge_request_id=change.pk)
        services.tidy_changes(task_id=change.task_id)
        bench.host.down = True

        bench.reconcile(change, now=after(hours=25))

        assert change.tidied_at is not None

    def test_branch_in_use_and_branch_never_proposed_are_left_alone(self, bench):
        change = bench.reconcile(bench.work_on())
        services.tidy_changes(task_id=change.task_id)
        other = bench.opened()
        services.withdraw_change(merge_request_id=other.pk)
        services.tidy_changes(task_id=other.task_id)

        assert (change.reload().tidy_at, other.reload().tidy_at) == (None, None)

    def test_change_that_was_withdrawn_during_a_look_stays_so(self, bench):
        change = bench.work_on()

        class Meanwhile(KillSwitch):
            def around(self, name: str, function: Any) -> Any:
                if name == "open_pull_request":
                    services.withdraw_change(merge_request_id=change.pk)
                return super().around(name, function)

        with pytest.raises(reconciler.IllegalTransition):
            reconciler.reconcile_merge_request(
                merge_request_id=change.pk, tools=Meanwhile().wrap(bench.tools())
            )

        assert change.reload().status == MergeRequestStatus.CANCELED
        assert bench.events(change) == []


class TestDeaths:
    def drive(self, bench: HostedBench, change: MergeRequest, switch: KillSwitch) -> list[str]:
        """Bring a change to its end through one death."""
        for turn in range(8):
            tools = switch.wrap(bench.tools())
            MergeRequest.objects.filter(pk=change.pk).update(poll_at=None)
            with contextlib.suppress(Killed):
                reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=tools)
            if turn == 0:
                bench.host.conclude(change.head_sha, CheckStatus.SUCCEEDED)
            if change.reload().tidied_at is not None:
                return switch.calls
        raise AssertionError(f"The change is still {change.status}")

    @pytest.mark.parametrize(("at", "after_call"), kills(17))
    def test_death_at_any_call_repeats_nothing(self, bench, at, after_call):
        change = bench.work_on()

        self.drive(bench, change, KillSwitch(at=at, after=after_call))

        assert change.status == MergeRequestStatus.MERGED, change.failure
        assert list(bench.host.held().pulls) == [1]
        assert bench.merges() == [str(change.pk)]
        assert bench.events(change) == ["pull_request_opened", "host_checks_started", "host_checks_passed"]
        assert bench.project.reload().head_sha == change.merge_sha
        assert list((bench.root / "scratch").iterdir()) == []

    def test_the_kills_above_cover_every_call(self, bench):
        calls = self.drive(bench, bench.work_on(), KillSwitch())

        assert calls == [
            *("head", "read_file", "mirror", "push", "open_pull_request", "read_checks"),
            *("read_pull_request", "read_checks"),
            *("ensure_repository", "merge", "head", "find_merge", "read_file", "export_bundle"),
            "save_bundle",
            *("head", "delete_branch"),
        ]


class TestProtectedFiles:
    def test_task_that_allows_them_may_change_them(self, bench):
        head = bench.commit({".github/workflows/ci.yml": b"name: ci\n"})
        refused = bench.reconcile(bench.propose(head))
        change = bench.propose(head)
        type(change.task).objects.filter(pk=change.task_id).update(allow_protected=True)

        bench.settle(bench.ask(bench.reconcile(change)))

        assert (refused.failure or {})["code"] == "protected_path_changed"
        assert change.status == MergeRequestStatus.MERGED, change.failure


class TestRebase:
    def moved(self, bench: HostedBench, files: dict[str, bytes] | None = None) -> MergeRequest:
        """A proposed change whose base a person has moved, found at the merge."""
        change = bench.reconcile(bench.work_on())
        bench.move_main(files or {"notes.txt": b"by hand\n"})
        return bench.conclude(change, CheckStatus.SUCCEEDED)

    def rebase(self, bench: HostedBench, change: MergeRequest, **changes: Any) -> MergeRequest:
        key = f"rebase-{change.pk}"
        rebase_id = services.rebase_change(idempotency_key=key, merge_request_id=change.pk)
        return bench.reconcile(MergeRequest.objects.get(pk=rebase_id), **changes)

    def test_moved_base_refuses_the_merge(self, bench):
        change = self.moved(bench)

        failure = ended(change, "refused", "base_moved", "platform")
        assert failure["retryable"]
        assert bench.pull(change).state is PullRequestState.OPEN

    def test_commits_are_replayed_inspected_and_proposed_again(self, bench):
        change = self.moved(bench)

        rebase = self.rebase(bench, change)
        checkout = selectors.get_change_outcome(merge_request_id=rebase.pk)
        bench.settle(bench.ask(rebase))

        head = bench.mirror()
        assert checkout.is_open
        assert checkout.is_rebase
        assert (checkout.base_sha, checkout.head_sha) == (rebase.base_sha, rebase.head_sha)
        assert (rebase.status, rebase.pull_request) == ("merged", change.pull_request), rebase.failure
        assert head.run("cat-file", "blob", f"{rebase.merge_sha}:notes.txt").output == b"by hand\n"
        assert head.run("cat-file", "blob", f"{rebase.merge_sha}:app/books.py").output == b"pass\n"
        assert bench.project.reload().head_sha == rebase.merge_sha

    def test_project_knows_the_new_base_before_the_verification(self, bench):
        change = self.moved(bench)

        rebase = self.rebase(bench, change)

        project = bench.project.reload()
        assert project.head_sha == rebase.base_sha
        assert storage.find_bundle(project.workspace_name).sha256 == project.workspace_sha256

    def test_bundle_of_the_worker_is_kept_for_an_unfinished_rebase(self, bench):
        change = self.moved(bench)
        services.rebase_change(idempotency_key="rebase", merge_request_id=change.pk)

        assert change.bundle_name in set(selectors.bundle_names_in_use())

    def test_textual_conflict_is_typed_and_names_the_files(self, bench):
        change = self.moved(bench, {"app/books.py": b"other\n"})

        rebase = self.rebase(bench, change)

        failure = ended(rebase, "refused", "rebase_conflict", "product")
        assert failure["details"]["paths"] == ["app/books.py"]

    def test_conflict_that_the_host_sees_first_is_a_moved_base_too(self, bench):
        change = bench.reconcile(bench.work_on())
        bench.pull(change).conflicting = True

        bench.look(change)

        ended(change, "refused", "merge_conflict", "product")

    def test_change_that_is_there_already_is_empty(self, bench):
        change = self.moved(bench, {"app/books.py": b"pass\n"})

        rebase = self.rebase(bench, change)

        ended(rebase, "refused", "rebase_empty", "product")

    def test_base_that_moves_again_is_replayed_onto_again(self, bench):
        change = self.moved(bench)
        first = self.rebase(bench, change)
        bench.move_main({"more.txt": b"more\n"})
        again = bench.conclude(bench.reconcile(bench.ask(first)), CheckStatus.SUCCEEDED)

        second = self.rebase(bench, again)
        bench.settle(bench.ask(second))

        assert (first.status, second.status) == ("refused", "merged"), second.failure
        assert first.rebase_of_id == second.rebase_of_id == change.pk

    def test_base_that_moves_during_the_inspection_is_met_by_the_next_look(self, bench):
        change = self.moved(bench)
        switch = KillSwitch(at=8, after=True)
        with pytest.raises(Killed):
            self.rebase(bench, change, now=bench.tools().now, **vars_of(switch, bench))
        bench.move_main({"more.txt": b"more\n"})
        rebase = MergeRequest.objects.get(rebase_of=change)

        bench.settle(bench.ask(bench.look(rebase)))

        assert rebase.status == MergeRequestStatus.MERGED, rebase.failure

    @pytest.mark.parametrize(("at", "after_call"), kills(12))
    def test_death_at_any_call_gives_the_same_commit(self, bench, at, after_call):
        change = self.moved(bench)
        switch = KillSwitch(at=at, after=after_call)
        with pytest.raises(Killed):
            self.rebase(bench, change, **vars_of(switch, bench))
        rebase = MergeRequest.objects.get(rebase_of=change)

        bench.settle(bench.ask(bench.look(rebase)))

        twin = self.rebase(bench, change)
        assert rebase.status == MergeRequestStatus.MERGED, rebase.failure
        assert twin.pk == rebase.pk
        assert list((bench.root / "scratch").iterdir()) == []

    def test_timeline_tells_the_pull_request_once(self, bench):
        change = self.moved(bench)

        rebase = bench.settle(bench.ask(self.rebase(bench, change)))

        assert bench.events(rebase).count("pull_request_opened") == 1
        assert bench.events(rebase).count("host_checks_passed") == 2


def vars_of(switch: KillSwitch, bench: HostedBench) -> dict[str, Any]:
    """The watched tools as changes of the ordinary ones."""
    watched = switch.wrap(bench.tools())
    return {"forge": watched.forge, "hosting": watched.hosting, "save_bundle": watched.save_bundle}
