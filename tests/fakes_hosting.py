"""A git host in memory with pull requests, checks, secrets and workflows, over any forge.

A flow test plays the host's part through `host` (tests/hosting_stage.py)::

    git_host = FakeGitHost()                      # or FakeGitHost(LocalForge(path)) for real commits
    tools = Tools(forge=git_host, hosting=git_host, scratch=path)
    git_host.host.conclude(sha, CheckStatus.FAILED, job="check", step="Run make check", excerpt="E   assert")
    git_host.host.finish_run(run_id, RunStatus.SUCCEEDED, url="https://books.example")
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from apps.projects.bundle_write import BundleInfo
from apps.projects.forge import base, hosting
from tests import hosting_stage
from tests.fakes_forge import FakeForge
from tests.hosting_stage import HeldPull, HeldRun, HostStage


class FakeGitHost:
    """Both halves of a git host: repositories are the given forge's, the rest is kept here."""

    def __init__(self, forge: base.Forge | None = None) -> None:
        self.forge = forge or FakeForge()
        self.host = HostStage(self.forge)

    @property
    def calls(self) -> list[str]:
        """The verbs that were asked for, in order."""
        return self.host.calls

    # --- Repositories: the forge's, with what protection refuses ------------

    def ensure_repository(self, spec: base.RepositorySpec) -> base.Repository:
        self.host.answer("ensure_repository")
        repository = self.forge.ensure_repository(spec)
        self.host.add(repository)
        return repository

    def head(self, repository: base.Repository, branch: str) -> str | None:
        self.host.open("head", repository)
        return self.forge.head(repository, branch)

    def push(
        self, repository: base.Repository, *, source: Path, sha: str, branch: str, expected: str | None
    ) -> None:
        held = self.host.open("push", repository)
        if branch in held.protected and self.forge.head(repository, branch) != sha:
            raise hosting.ForgeRefused("The branch is protected: changes must be made through a pull request")
        self.forge.push(repository, source=source, sha=sha, branch=branch, expected=expected)

    def merge(self, repository: base.Repository, spec: base.MergeSpec) -> base.MergeResult:
        held = self.host.open("merge", repository)
        done = self.forge.find_merge(repository, spec.request_id, branch=spec.into)
        if done is None:
            pull = held.pulls.get(spec.pull_request or 0)
            self._check_merge(repository, spec, pull)
        merged = self.forge.merge(repository, spec)
        if spec.pull_request is not None:
            held.pulls[spec.pull_request].merge(merged.sha, spec.source_sha)
        return merged

    def _check_merge(self, repository: base.Repository, spec: base.MergeSpec, pull: HeldPull | None) -> None:
        held = self.host.held(repository)
        if spec.pull_request is not None and pull is None:
            raise hosting.PullRequestNotFound
        if pull is not None and pull.state is hosting.PullRequestState.CLOSED:
            raise hosting.PullRequestClosed
        if pull is not None and self.forge.head(repository, pull.branch) != spec.source_sha:
            raise base.BranchMoved
        if spec.into not in held.protected:
            return
        if pull is None:
            raise hosting.ForgeRefused("Changes must be made through a pull request")
        if self.forge.head(repository, spec.into) != spec.expected_base:
            raise base.BaseMoved
        report = held.report(spec.source_sha, held.protected[spec.into])
        if report.status is not hosting.CheckStatus.SUCCEEDED:
            raise hosting.ForgeRefused(f"Required checks have not succeeded: {report.status}")

    def find_merge(
        self, repository: base.Repository, request_id: str, *, branch: str | None = None
    ) -> base.MergeResult | None:
        self.host.open("find_merge", repository)
        return self.forge.find_merge(repository, request_id, branch=branch)

    def list_merges(
        self, repository: base.Repository, *, branch: str | None = None
    ) -> list[base.MergeResult]:
        self.host.open("list_merges", repository)
        return self.forge.list_merges(repository, branch=branch)

    def export_bundle(self, repository: base.Repository, *, branch: str, destination: Path) -> BundleInfo:
        self.host.open("export_bundle", repository)
        return self.forge.export_bundle(repository, branch=branch, destination=destination)

    def read_file(self, repository: base.Repository, *, sha: str, path: str, limit: int) -> bytes:
        self.host.open("read_file", repository)
        return self.forge.read_file(repository, sha=sha, path=path, limit=limit)

    def delete_branch(self, repository: base.Repository, branch: str) -> None:
        self.host.open("delete_branch", repository)
        self.forge.delete_branch(repository, branch)

    def mirror(self, repository: base.Repository) -> Path:
        self.host.open("mirror", repository)
        return self.forge.mirror(repository)

    # --- Pull requests and checks -------------------------------------------

    def protect_branch(self, repository: base.Repository, *, branch: str, checks: tuple[str, ...]) -> None:
        held = self.host.open("protect_branch", repository)
        if self.forge.head(repository, branch) is None:
            raise base.BranchNotFound
        held.protected[branch] = checks

    def open_pull_request(
        self, repository: base.Repository, spec: hosting.PullRequestSpec
    ) -> hosting.PullRequest:
        held = self.host.open("open_pull_request", repository)
        known = [pull for pull in held.pulls.values() if (pull.branch, pull.into) == (spec.branch, spec.into)]
        if known:
            if known[-1].state is hosting.PullRequestState.OPEN:
                known[-1].title, known[-1].body = spec.title, spec.body
            return self._read(repository, known[-1])
        head, onto = (self.forge.head(repository, name) for name in (spec.branch, spec.into))
        if head is None or onto is None:
            raise base.BranchNotFound
        if head == onto:
            raise hosting.ForgeRefused(f"No commits between {spec.into} and {spec.branch}")
        pull = HeldPull(number=len(held.pulls) + 1, branch=spec.branch, into=spec.into, head=head)
        pull.title, pull.body = spec.title, spec.body
        held.pulls[pull.number] = pull
        return self._read(repository, pull)

    def read_pull_request(self, repository: base.Repository, number: int) -> hosting.PullRequest:
        held = self.host.open("read_pull_request", repository)
        if number not in held.pulls:
            raise hosting.PullRequestNotFound
        return self._read(repository, held.pulls[number])

    def close_pull_request(self, repository: base.Repository, number: int) -> hosting.PullRequest:
        held = self.host.open("close_pull_request", repository)
        if number not in held.pulls:
            raise hosting.PullRequestNotFound
        held.pulls[number].close()
        return self._read(repository, held.pulls[number])

    def _read(self, repository: base.Repository, pull: HeldPull) -> hosting.PullRequest:
        if pull.state is hosting.PullRequestState.OPEN:
            pull.head = self.forge.head(repository, pull.branch) or pull.head
        return hosting.PullRequest(
            number=pull.number,
            url=f"{repository.url}/pull/{pull.number}",
            state=pull.state,
            branch=pull.branch,
            into=pull.into,
            head_sha=pull.head,
            merge_sha=pull.merge_sha,
            conflicting=pull.conflicting,
        )

    def read_checks(
        self, repository: base.Repository, *, sha: str, checks: tuple[str, ...]
    ) -> hosting.CheckReport:
        return self.host.open("read_checks", repository).report(sha, checks)

    def rerun(self, repository: base.Repository, run_id: int) -> None:
        held = self.host.open("rerun", repository)
        self.host.reruns.append(run_id)
        for key, report in held.reports.items():
            if report.run_id == run_id:
                held.reports[key] = replace(
                    report, status=hosting.CheckStatus.PENDING, attempt=report.attempt + 1
                )
                return
        run = held.run(run_id)
        run.attempt, run.status, run.log = run.attempt + 1, hosting.RunStatus.QUEUED, None

    # --- Secrets ------------------------------------------------------------

    def put_secrets(self, repository: base.Repository, values: Mapping[str, str]) -> None:
        held = self.host.open("put_secrets", repository)
        hosting_stage.check_secrets(held.secrets, values)
        held.secrets.update(values)

    def list_secrets(self, repository: base.Repository) -> frozenset[str]:
        return frozenset(self.host.open("list_secrets", repository).secrets)

    def delete_secret(self, repository: base.Repository, name: str) -> None:
        self.host.open("delete_secret", repository).secrets.pop(name, None)

    # --- Workflows ----------------------------------------------------------

    def dispatch(self, repository: base.Repository, spec: hosting.DispatchSpec) -> int | None:
        held = self.host.open("dispatch", repository)
        self.host.check_workflow(repository, spec.workflow)
        head = self.forge.head(repository, spec.ref)
        if head is None:
            raise base.BranchNotFound
        self.host.dispatched.append(spec)
        if self.host.loses_dispatches:
            return None
        run = HeldRun(id=self.host.next_id(), spec=spec, head_sha=head)
        held.runs[run.id] = run
        return run.id if self.host.returns_run_ids else None

    def find_run(
        self, repository: base.Repository, *, workflow: str, correlation: str
    ) -> hosting.WorkflowRun | None:
        held = self.host.open("find_run", repository)
        self.host.check_workflow(repository, workflow)
        wanted = (workflow, correlation)
        found = [run for run in held.runs.values() if (run.spec.workflow, run.spec.correlation) == wanted]
        return self._read_run(repository, found[0]) if found else None

    def read_run(self, repository: base.Repository, run_id: int) -> hosting.WorkflowRun:
        return self._read_run(repository, self.host.open("read_run", repository).run(run_id))

    def _read_run(self, repository: base.Repository, run: HeldRun) -> hosting.WorkflowRun:
        return hosting.WorkflowRun(
            id=run.id,
            status=run.status,
            head_sha=run.head_sha,
            url=f"{repository.url}/actions/runs/{run.id}",
            attempt=run.attempt,
            conclusion=run.status.value if run.status.is_final else "",
        )

    def read_log(self, repository: base.Repository, run_id: int, *, limit: int) -> hosting.RunLog | None:
        held = self.host.open("read_log", repository)
        log = held.log(run_id)
        return log and replace(log, excerpt=log.excerpt.encode()[-limit:].decode(errors="ignore"))

    def cancel_run(self, repository: base.Repository, run_id: int) -> None:
        run = self.host.open("cancel_run", repository).run(run_id)
        if not run.status.is_final and not self.host.ignores_cancels:
            run.status = hosting.RunStatus.CANCELED

    def read_deployment(
        self, repository: base.Repository, *, sha: str, environment: str
    ) -> hosting.HostDeployment | None:
        held = self.host.open("read_deployment", repository)
        wanted = (sha, environment)
        found = [entry for entry in held.deployments if (entry.sha, entry.environment) == wanted]
        return found[-1] if found else None

    def delete_repository(self, repository: base.Repository) -> None:
        self.host.answer("delete_repository")
        if not self.host.remove(repository):
            return
        if isinstance(self.forge, FakeForge):
            self.forge.lose(repository.name)
        else:
            shutil.rmtree(self.forge.mirror(repository))
