"""What every host of workflows must do: secrets, dispatched runs, logs, deployments."""

import uuid
from dataclasses import replace

import pytest

from apps.projects.forge import base, hosting
from apps.projects.forge.hosting import RunStatus
from tests.conformance.hosting_stages import SPEC, Stage, dispatch_spec


def start_run(stage: Stage, repository: base.Repository, spec: hosting.DispatchSpec) -> int:
    """Dispatch and find the run, as hosts that tell no id need it."""
    run_id = stage.host.dispatch(repository, spec)
    found = stage.host.find_run(repository, workflow=spec.workflow, correlation=spec.correlation)
    assert found is not None
    assert run_id in (None, found.id)
    return found.id


# --- Secrets ----------------------------------------------------------------


def test_secrets_are_present_by_name(stage: Stage, repository: base.Repository) -> None:
    stage.host.put_secrets(repository, {"BOT_TOKEN": "one", "OPENAI_KEY": "two"})
    stage.host.put_secrets(repository, {"BOT_TOKEN": "three"})

    stage.host.delete_secret(repository, "OPENAI_KEY")
    stage.host.delete_secret(repository, "OPENAI_KEY")

    assert stage.host.list_secrets(repository) == {"BOT_TOKEN"}


@pytest.mark.parametrize(
    "values",
    [
        {"1BAD": "x"},
        {"GITHUB_TOKEN": "x"},
        {"A-B": "x"},
        {"LARGE": "x" * (64 * 1024 + 1)},
        {f"KEY_{number}": "x" for number in range(101)},
    ],
    ids=["digit", "reserved", "hyphen", "large", "many"],
)
def test_unusable_secrets_are_refused_whole(
    stage: Stage, repository: base.Repository, values: dict[str, str]
) -> None:
    with pytest.raises(hosting.SecretRefused):
        stage.host.put_secrets(repository, {"GOOD": "x", **values})

    assert stage.host.list_secrets(repository) == frozenset()


# --- Workflows --------------------------------------------------------------


def test_dispatched_run_is_found_by_its_correlation(stage: Stage, repository: base.Repository) -> None:
    main = stage.host.head(repository, "main") or ""
    spec, other = dispatch_spec(main), dispatch_spec(main)

    run_id, other_id = (start_run(stage, repository, each) for each in (spec, other))

    ended = stage.settle_run(repository, run_id)
    assert run_id != other_id
    assert (ended.status, ended.head_sha) == (RunStatus.SUCCEEDED, main)
    assert stage.host.find_run(repository, workflow="main.yml", correlation=str(uuid.uuid4())) is None
    assert stage.host.read_log(repository, run_id, limit=1_000) is None


def test_deployment_of_exactly_that_commit_is_read(stage: Stage, repository: base.Repository) -> None:
    main = stage.host.head(repository, "main") or ""
    stage.settle_run(repository, start_run(stage, repository, dispatch_spec(main)))

    deployment = stage.host.read_deployment(repository, sha=main, environment="production")

    assert deployment is not None
    assert (deployment.sha, deployment.state, deployment.url) == (main, "success", "https://books.example")
    assert stage.host.read_deployment(repository, sha=main, environment="staging") is None
    assert stage.host.read_deployment(repository, sha="1" * 40, environment="production") is None


def test_failed_run_tells_its_step_in_bounded_words(stage: Stage, repository: base.Repository) -> None:
    main = stage.host.head(repository, "main") or ""
    stage.host.put_secrets(repository, {"BOT_TOKEN": "123456:never-shown"})
    run_id = start_run(stage, repository, dispatch_spec(main, ending="bad"))

    ended = stage.settle_run(repository, run_id)

    log = stage.host.read_log(repository, run_id, limit=1_000)
    short = stage.host.read_log(repository, run_id, limit=10)
    assert ended.status is RunStatus.FAILED
    assert log is not None
    assert (log.job, log.step) == ("deploy", "Release")
    assert "the server refused the image" in log.excerpt
    assert "never-shown" not in log.excerpt
    assert short is not None
    assert len(short.excerpt.encode()) <= 10


def test_canceled_run_is_seen_to_end(stage: Stage, repository: base.Repository) -> None:
    main = stage.host.head(repository, "main") or ""
    run_id = start_run(stage, repository, dispatch_spec(main, ending="endless"))
    stage.begin_run(repository, run_id)

    stage.host.cancel_run(repository, run_id)

    assert stage.settle_run(repository, run_id).status is RunStatus.CANCELED
    stage.host.cancel_run(repository, run_id)


def test_absent_workflow_and_run_are_not_found(stage: Stage, repository: base.Repository) -> None:
    main = stage.host.head(repository, "main") or ""

    with pytest.raises(hosting.WorkflowNotFound):
        stage.host.dispatch(repository, replace(dispatch_spec(main), workflow="absent.yml"))
    with pytest.raises(hosting.RunNotFound):
        stage.host.read_run(repository, 999_999_999)
    with pytest.raises(hosting.WorkflowNotFound):
        stage.host.find_run(repository, workflow="absent.yml", correlation=str(uuid.uuid4()))


def test_deleted_repository_is_gone_and_stays_gone(stage: Stage, repository: base.Repository) -> None:
    stage.host.delete_repository(repository)
    stage.host.delete_repository(repository)

    with pytest.raises(base.RepositoryNotFound):
        stage.host.list_secrets(repository)
    with pytest.raises(base.RepositoryNotFound):
        stage.host.ensure_repository(replace(SPEC, repository_id=repository.id))
