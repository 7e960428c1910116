"""What every host of pull requests must do: opening, checking and merging them."""

from dataclasses import replace

import pytest

from apps.projects.forge import base, hosting
from apps.projects.forge.hosting import CheckStatus, PullRequestState
from tests.conformance.hosting_stages import CHECKS, PULL, Stage, merge_spec, offer
from tests.fakes_forge import GitSource


def test_second_asking_finds_the_pull_request_of_a_branch(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    _, sha = offer(stage, repository, source)

    first = stage.host.open_pull_request(repository, PULL)
    again = stage.host.open_pull_request(repository, replace(PULL, title="Other words"))

    assert (first.number, first.url) == (again.number, again.url)
    assert (first.state, first.branch, first.into, first.head_sha) == (
        PullRequestState.OPEN,
        "task/1",
        "main",
        sha,
    )


def test_closed_pull_request_is_found_closed(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    offer(stage, repository, source)
    pull = stage.host.open_pull_request(repository, PULL)

    closed = stage.host.close_pull_request(repository, pull.number)
    again = stage.host.close_pull_request(repository, pull.number)

    assert (closed.state, again.state) == (PullRequestState.CLOSED, PullRequestState.CLOSED)
    assert stage.host.open_pull_request(repository, PULL).state is PullRequestState.CLOSED


def test_pull_request_follows_its_branch(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    offer(stage, repository, source)
    pull = stage.host.open_pull_request(repository, PULL)

    _, sha = offer(stage, repository, source, more=b"more")

    assert stage.host.read_pull_request(repository, pull.number).head_sha == sha


def test_pull_request_without_a_change_is_refused(stage: Stage, repository: base.Repository) -> None:
    with pytest.raises(base.BranchNotFound):
        stage.host.open_pull_request(repository, PULL)

    with pytest.raises(hosting.PullRequestNotFound):
        stage.host.read_pull_request(repository, 99)


def test_merge_through_a_pull_request_is_ours_and_is_found_again(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    main, sha = offer(stage, repository, source)
    pull = stage.host.open_pull_request(repository, PULL)
    spec = merge_spec(main, sha, pull.number)

    merged = stage.host.merge(repository, spec)

    read = stage.host.read_pull_request(repository, pull.number)
    assert (merged.base_sha, merged.source_sha) == (main, sha)
    assert (read.state, read.merge_sha) == (PullRequestState.MERGED, merged.sha)
    assert stage.host.merge(repository, spec) == merged
    assert stage.host.find_merge(repository, "run-1") == merged
    assert stage.host.head(repository, "main") == merged.sha


def test_merge_by_a_person_is_seen(stage: Stage, repository: base.Repository, source: GitSource) -> None:
    _, sha = offer(stage, repository, source)
    pull = stage.host.open_pull_request(repository, PULL)

    merge_sha = stage.merge_as_person(repository, pull.number)

    read = stage.host.read_pull_request(repository, pull.number)
    assert (read.state, read.head_sha, read.merge_sha) == (PullRequestState.MERGED, sha, merge_sha)
    assert stage.host.find_merge(repository, "run-1") is None


def test_closed_pull_request_is_not_merged(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    main, sha = offer(stage, repository, source)
    pull = stage.host.open_pull_request(repository, PULL)
    stage.host.close_pull_request(repository, pull.number)

    with pytest.raises(hosting.PullRequestClosed):
        stage.host.merge(repository, merge_spec(main, sha, pull.number))

    assert stage.host.head(repository, "main") == main


# --- Protection and checks --------------------------------------------------


def test_protected_branch_changes_by_checked_pull_requests_alone(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    stage.host.protect_branch(repository, branch="main", checks=CHECKS)
    stage.host.protect_branch(repository, branch="main", checks=CHECKS)
    main, sha = offer(stage, repository, source)
    pull = stage.host.open_pull_request(repository, PULL)

    with pytest.raises((hosting.ForgeRefused, hosting.ForgeForbidden)):
        stage.host.push(repository, source=source.path, sha=sha, branch="main", expected=main)

    assert stage.settle_checks(repository, sha).status is CheckStatus.SUCCEEDED
    merged = stage.host.merge(repository, merge_spec(main, sha, pull.number))
    assert stage.host.head(repository, "main") == merged.sha


def test_red_check_names_its_job_step_and_words_and_keeps_the_merge_out(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    stage.host.protect_branch(repository, branch="main", checks=CHECKS)
    main, sha = offer(stage, repository, source, broken=b"")
    pull = stage.host.open_pull_request(repository, PULL)

    stage.settle_checks(repository, sha)

    report = stage.host.read_checks(repository, sha=sha, checks=CHECKS)
    assert (report.sha, report.status, report.attempt) == (sha, CheckStatus.FAILED, 1)
    assert (report.job, report.step) == ("check", "Look for the fault")
    assert "E   assert 1 == 2" in report.excerpt
    with pytest.raises(hosting.ForgeRefused):
        stage.host.merge(repository, merge_spec(main, sha, pull.number))
    assert stage.host.head(repository, "main") == main


def test_rerun_is_the_next_attempt_of_the_same_run(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    _, sha = offer(stage, repository, source, broken=b"")
    stage.host.open_pull_request(repository, PULL)
    first = stage.settle_checks(repository, sha)
    assert first.run_id is not None

    stage.host.rerun(repository, first.run_id)

    second = stage.settle_checks(repository, sha)
    assert (second.run_id, second.attempt, second.status) == (first.run_id, 2, CheckStatus.FAILED)


def test_moved_base_keeps_the_merge_out_of_a_protected_branch(
    stage: Stage, repository: base.Repository, source: GitSource
) -> None:
    stage.host.protect_branch(repository, branch="main", checks=CHECKS)
    main, sha = offer(stage, repository, source)
    pull = stage.host.open_pull_request(repository, PULL)
    _, other = offer(stage, repository, source, branch="task/2")
    second = stage.host.open_pull_request(repository, replace(PULL, branch="task/2"))
    stage.settle_checks(repository, sha)
    stage.settle_checks(repository, other)
    moved = stage.merge_as_person(repository, second.number)

    with pytest.raises(base.BaseMoved):
        stage.host.merge(repository, merge_spec(main, sha, pull.number))

    assert stage.host.head(repository, "main") == moved
