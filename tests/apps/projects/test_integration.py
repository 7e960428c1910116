"""A worker's bundle becomes a branch, and a verified branch becomes the default one: once each."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from apps import storage
from apps.enqueue import advisory_lock
from apps.projects import reconciler, selectors, services
from apps.projects.bundles import BundleLimits
from apps.projects.forge.base import MergeSpec, Repository
from apps.projects.forge.local import LocalForge
from apps.projects.git import Git
from apps.projects.models import MergeRequest, MergeRequestStatus, Project
from apps.projects.workspace import ensure_repository
from tests.apps.projects.rig import DownForge, Killed, KillSwitch, fill, kills, late, make_tools, small_disk
from tests.factories import make_project, make_sha, make_task
from tests.fakes_forge import MOMENT, GitSource

pytestmark = [pytest.mark.service, pytest.mark.django_db]

BRANCH = "task/0a1b2c3d-1"


@dataclass
class Bench:
    """An active project with a real repository, and a worker's copy of it."""

    root: Path
    forge: LocalForge
    project: Project
    work: GitSource

    @property
    def base(self) -> str:
        return self.project.head_sha

    def tools(self, **changes: Any) -> Any:
        return make_tools(changes.pop("forge", self.forge), self.root / "scratch", **changes)

    def repository(self) -> Repository:
        return ensure_repository(self.project, self.tools())

    def mirror(self) -> Git:
        return Git(repository=self.root / "forge" / f"{self.project.slug}.git")

    def files(self) -> dict[str, Any]:
        names = self.mirror().text("ls-tree", "-r", "--name-only", self.base).splitlines()
        return {name: self.mirror().run("cat-file", "blob", f"{self.base}:{name}").output for name in names}

    def commit(self, files: Mapping[str, bytes], *parents: str) -> str:
        return self.work.commit_files({**self.files(), **files}, *(parents or (self.base,)))

    def propose(self, head: str, **changes: Any) -> MergeRequest:
        """Propose a commit as a worker would send it."""
        branch = changes.get("branch", BRANCH)
        self.work.branch(branch, head)
        file = self.root / "sent.bundle"
        self.work.git.run("bundle", "create", "--quiet", str(file), f"refs/heads/{branch}", f"^{self.base}")
        return self.send(file, head_sha=head, **changes)

    def send(self, file: Path, **changes: Any) -> MergeRequest:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        name = storage.snapshot_name(worker_id=uuid4(), sha256=digest)
        storage.save_bundle(file, name=name)
        fields = {
            "idempotency_key": f"change-{uuid4()}",
            "project_id": self.project.pk,
            "task_id": make_task(project=self.project).pk,
            "title": "Add books",
            "branch": BRANCH,
            "base_sha": self.base,
            "bundle_name": name,
            "bundle_sha256": digest,
        }
        change_id = services.propose_change(**{**fields, **changes})
        return MergeRequest.objects.get(pk=change_id)

    def reconcile(self, change: MergeRequest, **changes: Any) -> MergeRequest:
        reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=self.tools(**changes))
        return change.reload()

    def opened(self) -> MergeRequest:
        return self.reconcile(self.propose(self.commit({"app/books.py": b"pass\n"})))

    def merging(self) -> MergeRequest:
        change = self.opened()
        services.request_merge(merge_request_id=change.pk)
        return change.reload()

    def merges(self) -> list[str]:
        return [merge.request_id for merge in self.forge.list_merges(self.repository())]


@pytest.fixture
def bench(settings: Any, tmp_path: Path) -> Bench:
    settings.MEDIA_ROOT = tmp_path / "storage"
    forge = LocalForge(tmp_path / "forge")
    project = make_project(name="Books", slug="books")
    services.request_scaffold(project_id=project.pk)
    reconciler.reconcile_project(project_id=project.pk, tools=make_tools(forge, tmp_path / "scratch"))
    work = GitSource(tmp_path / "work.git", alternates=tmp_path / "forge" / "books.git")
    return Bench(root=tmp_path, forge=forge, project=project.reload(), work=work)


class TestInspection:
    def test_sound_change_is_open_on_its_branch_with_a_report(self, bench):
        head = bench.commit({"app/books.py": b"a = 1\nb = 2\n"})

        change = bench.reconcile(bench.propose(head))

        assert change.status == MergeRequestStatus.OPEN, change.failure
        assert bench.forge.head(bench.repository(), BRANCH) == head
        assert (change.report["files_changed"], change.report["additions"]) == (1, 2)
        assert change.report["paths"] == ["app/books.py"]
        assert change.report["commits"] == [{"sha": head, "subject": "Work"}]

    def test_checkout_holds_base_and_head(self, bench, tmp_path):
        change = bench.opened()

        outcome = selectors.get_change_outcome(merge_request_id=change.pk)
        storage.copy_to(outcome.checkout_name, tmp_path / "c.bundle", sha256=outcome.checkout_sha256)
        listing = Git().text("bundle", "list-heads", str(tmp_path / "c.bundle"))
        assert outcome.is_open
        assert not outcome.is_final
        assert f"{change.head_sha} refs/heads/{BRANCH}" in listing
        assert f"{bench.base} refs/heads/base" in listing

    def test_rework_moves_the_branch_of_the_task(self, bench):
        first = bench.opened()
        head = bench.commit({"app/books.py": b"better\n"}, first.head_sha)

        second = bench.reconcile(bench.propose(head))

        assert second.status == MergeRequestStatus.OPEN, second.failure
        assert bench.forge.head(bench.repository(), BRANCH) == head

    def test_amended_rework_replaces_the_branch_of_the_task(self, bench):
        bench.opened()
        head = bench.commit({"app/books.py": b"another beginning\n"})

        second = bench.reconcile(bench.propose(head))

        assert second.status == MergeRequestStatus.OPEN, second.failure
        assert bench.forge.head(bench.repository(), BRANCH) == head

    def refused(self, change, code):
        failure = change.failure or {}
        assert (change.status, failure.get("code")) == (MergeRequestStatus.REFUSED, code), failure
        assert (failure["stage"], failure["kind"]) == ("integration", "product")
        assert failure["details"]["step"]
        assert change.checkout_name == ""

    def test_rewritten_history_is_refused(self, bench):
        bench.reconcile(bench.merging())
        bench.project.refresh_from_db()
        head = bench.commit({"app/more.py": b"pass\n"}, bench.project.scaffold_sha)

        change = bench.reconcile(bench.propose(head))

        self.refused(change, "rewritten_history")
        assert bench.forge.head(bench.repository(), BRANCH) != head

    def test_foreign_history_is_refused(self, bench, tmp_path):
        stranger = GitSource(tmp_path / "stranger.git")
        before = stranger.commit_files({"a.txt": b"a\n"})
        head = stranger.commit_files({"a.txt": b"b\n"}, before)
        stranger.branch(BRANCH, head)
        file = tmp_path / "foreign.bundle"
        stranger.git.run("bundle", "create", "--quiet", str(file), f"refs/heads/{BRANCH}", f"^{before}")

        change = bench.reconcile(bench.send(file, head_sha=head))

        self.refused(change, "foreign_history")

    def test_bundle_over_the_limit_is_refused(self, bench):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))

        bench.reconcile(change, bundle_limits=BundleLimits(max_bytes=50))

        self.refused(change, "bundle_too_large")
        assert change.failure["details"]["limit"] == 50

    def test_garbage_is_refused(self, bench, tmp_path):
        file = tmp_path / "garbage.bundle"
        file.write_bytes(b"not a bundle\n" * 100)

        change = bench.reconcile(bench.send(file, head_sha=make_sha()))

        self.refused(change, "bundle_malformed")

    def test_protected_path_of_the_base_is_refused(self, bench):
        manifest = bench.files()["project.yaml"].replace(b"Makefile", b"nothing")
        head = bench.commit({"project.yaml": manifest, "Makefile": b"check:\n\ttrue\n"})

        change = bench.reconcile(bench.propose(head))

        self.refused(change, "protected_path_changed")

    def test_commit_on_another_branch_is_refused(self, bench, tmp_path):
        head = bench.commit({"app/books.py": b"pass\n"})
        bench.work.branch("elsewhere", head)
        file = tmp_path / "elsewhere.bundle"
        bench.work.git.run("bundle", "create", "--quiet", str(file), "refs/heads/elsewhere", f"^{bench.base}")

        change = bench.reconcile(bench.send(file, head_sha=head))

        self.refused(change, "expected_ref_missing")

    def test_another_head_than_claimed_is_refused(self, bench):
        head = bench.commit({"app/books.py": b"pass\n"})

        change = bench.reconcile(bench.propose(head, **{"title": "Claimed"}))
        claimed = bench.propose(head)
        MergeRequest.objects.filter(pk=claimed.pk).update(head_sha=make_sha())
        bench.reconcile(claimed)

        assert change.status == MergeRequestStatus.OPEN
        self.refused(claimed, "head_mismatch")

    def test_base_that_has_moved_on_is_refused_and_worth_another_attempt(self, bench):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))
        other = bench.merging()
        bench.reconcile(other)

        bench.reconcile(change)

        assert (change.status, change.failure["code"]) == (MergeRequestStatus.REFUSED, "base_moved")
        assert change.failure["retryable"]

    def test_bundle_that_is_gone_is_our_fault(self, bench):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))
        storage.delete_bundle(change.bundle_name)

        bench.reconcile(change)

        assert (change.status, change.failure["code"]) == (MergeRequestStatus.CRASHED, "bundle_missing")
        assert change.failure["kind"] == "platform"

    def test_damaged_bundle_is_waited_for_until_the_deadline(self, bench):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))
        Path(storage.default_storage.path(change.bundle_name)).write_bytes(b"rotten")

        waiting = bench.reconcile(change).status
        bench.reconcile(change, now=late)

        assert waiting == MergeRequestStatus.PENDING
        assert (change.status, change.failure["code"]) == (MergeRequestStatus.CRASHED, "bundle_damaged")

    def test_full_disk_loses_nothing(self, bench):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))
        with small_disk(bench.root / "small") as mounted:
            if not mounted:
                pytest.skip("this machine does not let us mount a small disk")
            fill(bench.root / "small")
            tools = replace(bench.tools(), scratch=bench.root / "small")
            reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=tools)
        waiting = change.reload().status

        bench.reconcile(change)

        assert waiting == MergeRequestStatus.PENDING
        assert change.status == MergeRequestStatus.OPEN

    @pytest.mark.parametrize(("at", "after"), kills(7))
    def test_death_at_any_call_is_adopted(self, bench, at, after):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))
        switch = KillSwitch(at=at, after=after)
        with pytest.raises(Killed):
            reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=switch.wrap(bench.tools()))
        interrupted = change.reload().status

        bench.reconcile(change)

        assert interrupted == MergeRequestStatus.PENDING
        assert change.status == MergeRequestStatus.OPEN, change.failure
        assert bench.forge.head(bench.repository(), BRANCH) == change.head_sha
        assert list((bench.root / "scratch").iterdir()) == []

    def test_the_kills_above_cover_every_call(self, bench):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))
        switch = KillSwitch()

        reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=switch.wrap(bench.tools()))

        assert switch.calls == [
            "ensure_repository",
            "head",
            "read_file",
            "mirror",
            "head",
            "push",
            "save_bundle",
        ]

    def test_withdrawn_change_is_not_inspected(self, bench):
        change = bench.propose(bench.commit({"app/books.py": b"pass\n"}))
        services.withdraw_change(merge_request_id=change.pk)

        bench.reconcile(change)

        assert change.status == MergeRequestStatus.CANCELED
        assert bench.forge.head(bench.repository(), BRANCH) is None


class TestMerge:
    def test_merged_change_becomes_the_head_of_the_project(self, bench):
        change = bench.reconcile(bench.merging())

        project = bench.project.reload()
        head = bench.forge.head(bench.repository(), "main")
        assert change.status == MergeRequestStatus.MERGED, change.failure
        assert change.merge_sha == project.head_sha == head
        assert change.merged_at is not None
        assert storage.find_bundle(project.workspace_name).sha256 == project.workspace_sha256
        assert bench.merges() == [str(change.pk)]

    def test_merge_has_exactly_the_tree_that_was_verified(self, bench):
        change = bench.reconcile(bench.merging())

        trees = bench.mirror().text(
            "rev-parse", f"{change.merge_sha}^{{tree}}", f"{change.head_sha}^{{tree}}"
        )
        assert len(set(trees.split())) == 1

    def test_merge_commit_names_the_task(self, bench):
        change = bench.reconcile(bench.merging())

        message = bench.mirror().text("log", "-1", "--format=%B", change.merge_sha)
        assert f"Task: {change.task_id}" in message
        assert message.endswith(f"Merge-Request: {change.pk}")

    def test_two_tasks_one_after_the_other_are_two_merges(self, bench):
        first = bench.reconcile(bench.merging())
        bench.project.refresh_from_db()

        second = bench.reconcile(bench.merging())

        assert second.status == MergeRequestStatus.MERGED, second.failure
        assert bench.merges() == [str(first.pk), str(second.pk)]
        assert bench.project.reload().head_sha == second.merge_sha

    @pytest.mark.parametrize(("at", "after"), kills(7))
    def test_death_at_any_call_leaves_one_merge(self, bench, at, after):
        change = bench.merging()
        switch = KillSwitch(at=at, after=after)
        with pytest.raises(Killed):
            reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=switch.wrap(bench.tools()))
        interrupted = change.reload().status

        bench.reconcile(change)

        assert interrupted == MergeRequestStatus.MERGING
        assert change.status == MergeRequestStatus.MERGED, change.failure
        assert bench.merges() == [str(change.pk)]
        assert bench.project.reload().head_sha == change.merge_sha

    def test_the_kills_above_cover_every_call(self, bench):
        change = bench.merging()
        switch = KillSwitch()

        reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=switch.wrap(bench.tools()))

        assert switch.calls == [
            "ensure_repository",
            "merge",
            "head",
            "find_merge",
            "read_file",
            "export_bundle",
            "save_bundle",
        ]

    def test_second_run_changes_nothing(self, bench):
        change = bench.reconcile(bench.merging())
        merged_at = change.merged_at

        bench.reconcile(change)

        assert change.merged_at == merged_at
        assert len(bench.merges()) == 1

    def test_base_that_has_moved_on_is_refused_and_worth_another_attempt(self, bench):
        late_one = bench.merging()
        bench.reconcile(bench.merging())

        bench.reconcile(late_one)

        assert (late_one.status, late_one.failure["code"]) == (MergeRequestStatus.REFUSED, "base_moved")
        assert (late_one.failure["stage"], late_one.failure["retryable"]) == ("merge", True)
        assert len(bench.merges()) == 1

    def test_merge_found_below_a_newer_head_counts_and_the_newer_head_stays(self, bench):
        change = bench.merging()
        repository = bench.repository()
        switch = KillSwitch(at=2, after=True)
        with pytest.raises(Killed):
            reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=switch.wrap(bench.tools()))
        merged = bench.forge.head(repository, "main")
        newer = bench.work.commit_files({**bench.files(), "notes.txt": b"by hand\n"}, merged)
        bench.forge.push(repository, source=bench.work.path, sha=newer, branch="hand", expected=None)
        bench.forge.merge(
            repository,
            MergeSpec(
                request_id="by-hand",
                source_sha=newer,
                into="main",
                expected_base=merged,
                message="By hand",
                authored_at=MOMENT,
            ),
        )

        bench.reconcile(change)

        assert (change.status, change.merge_sha) == (MergeRequestStatus.MERGED, merged)
        assert bench.project.reload().head_sha == bench.forge.head(repository, "main") != merged

    def test_silent_forge_is_waited_for_until_the_deadline(self, bench):
        change = bench.merging()

        waiting = bench.reconcile(change, forge=DownForge()).status
        bench.reconcile(change, forge=DownForge(), now=late)

        assert waiting == MergeRequestStatus.MERGING
        assert change.status == MergeRequestStatus.CRASHED
        assert change.failure["retryable"]

    def test_attempts_without_an_answer_are_bounded(self, bench):
        change = bench.merging()
        MergeRequest.objects.filter(pk=change.pk).update(attempts=reconciler.MAX_ATTEMPTS)

        bench.reconcile(change)

        assert (change.status, change.failure["code"]) == (MergeRequestStatus.CRASHED, "attempts_exhausted")


@pytest.mark.django_db(transaction=True)
def test_merge_waits_while_another_one_of_the_project_is_at_it(bench, run_together):
    change = bench.merging()

    def reconcile_meanwhile() -> None:
        reconciler.reconcile_merge_request(merge_request_id=change.pk, tools=bench.tools())

    with advisory_lock("project", bench.project.pk):
        answers = run_together(reconcile_meanwhile, 1)

    assert answers == [None]
    assert change.reload().status == MergeRequestStatus.MERGING
    assert bench.merges() == []


class TestRebase:
    def test_second_of_two_changes_is_put_on_the_first_and_merged(self, bench):
        first = bench.reconcile(bench.propose(bench.commit({"app/books.py": b"pass\n"})))
        late_one = bench.reconcile(
            bench.propose(bench.commit({"app/films.py": b"pass\n"}), branch="task/0a1b2c3d-2")
        )
        for change in (first, late_one):
            services.request_merge(merge_request_id=change.pk)
            bench.reconcile(change)
        rebase_id = services.rebase_change(idempotency_key="rebase", merge_request_id=late_one.pk)
        rebase = bench.reconcile(MergeRequest.objects.get(pk=rebase_id))
        services.request_merge(merge_request_id=rebase_id)

        bench.reconcile(rebase)

        assert (late_one.failure["code"], rebase.status) == ("base_moved", "merged"), rebase.failure
        assert (rebase.base_sha, rebase.branch) == (first.merge_sha, late_one.branch)
        assert bench.merges() == [str(first.pk), str(rebase.pk)]
        listing = bench.mirror().text("ls-tree", "-r", "--name-only", rebase.merge_sha).splitlines()
        assert {"app/books.py", "app/films.py"} <= set(listing)

    def test_asking_twice_is_asking_once(self, bench):
        change = bench.opened()

        twins = {
            services.rebase_change(idempotency_key="rebase", merge_request_id=change.pk) for _ in range(2)
        }

        assert len(twins) == 1

    def test_change_that_is_not_there_cannot_be_rebased(self):
        with pytest.raises(selectors.ChangeNotFound):
            services.rebase_change(idempotency_key="rebase", merge_request_id=uuid4())
