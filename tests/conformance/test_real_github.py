"""The whole life of a project on GitHub: on the double always, on GitHub itself every night."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from apps.projects.forge import base
from apps.projects.forge.hosting import CheckStatus, PullRequestState, RunStatus
from tests.conformance.git_hosts import APP_KEY, DOUBLE, HAS_REAL, ORG, TOKEN
from tests.conformance.hosting_hosts import open_stage
from tests.conformance.hosting_stages import (
    CHECKS,
    FILES,
    PULL,
    SPEC,
    Stage,
    dispatch_spec,
    merge_spec,
    offer,
)
from tests.fakes_forge import GitSource

REAL = pytest.param(
    "real",
    marks=[
        pytest.mark.e2e,
        pytest.mark.timeout(1800),
        pytest.mark.skipif(
            not HAS_REAL, reason=f"GitHub itself is not asked: set {ORG} and {TOKEN} (or {APP_KEY})"
        ),
    ],
)


@pytest.fixture(params=[DOUBLE, REAL])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with open_stage(request.param, tmp_path) as stage:
        yield stage


def test_project_is_created_changed_deployed_and_deleted(stage: Stage, source: GitSource) -> None:
    host = stage.host
    repository = host.ensure_repository(SPEC)
    first = source.commit_files(FILES)
    host.push(repository, source=source.path, sha=first, branch="main", expected=None)
    host.protect_branch(repository, branch="main", checks=CHECKS)

    # A red task, its rework, and the merge of what was checked.
    _, red = offer(stage, repository, source, broken=b"")
    pull = host.open_pull_request(repository, PULL)
    assert stage.settle_checks(repository, red).status is CheckStatus.FAILED
    main, green = offer(stage, repository, source)
    assert stage.settle_checks(repository, green).status is CheckStatus.SUCCEEDED
    merged = host.merge(repository, merge_spec(main, green, pull.number))
    assert host.read_pull_request(repository, pull.number).state is PullRequestState.MERGED
    assert host.head(repository, "main") == merged.sha
    host.delete_branch(repository, PULL.branch)

    # A deployment with a secret, and what it reports.
    host.put_secrets(repository, {"BOT_TOKEN": "123456:not-a-real-one"})
    spec = dispatch_spec(merged.sha)
    run_id = host.dispatch(repository, spec) or _find(stage, repository, spec.correlation)
    assert stage.settle_run(repository, run_id).status is RunStatus.SUCCEEDED
    deployment = host.read_deployment(repository, sha=merged.sha, environment="production")
    assert deployment is not None
    assert (deployment.state, deployment.url) == ("success", "https://books.example")

    host.delete_repository(repository)
    with pytest.raises(base.RepositoryNotFound):
        host.ensure_repository(replace(SPEC, repository_id=repository.id))


def _find(stage: Stage, repository: base.Repository, correlation: str) -> int:
    found = stage.host.find_run(repository, workflow="main.yml", correlation=correlation)
    assert found is not None
    return found.id
