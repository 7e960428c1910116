"""What others may ask."""

from uuid import uuid4

import pytest

from apps import storage
from apps.failures import FailureKind
from apps.projects import selectors
from apps.projects.models import MergeRequest
from tests.factories import make_merge_request, make_project, make_secret, make_task

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def test_get_raises_and_find_answers_none_for_what_is_not_there():
    with pytest.raises(selectors.ProjectNotFound):
        selectors.get_project(uuid4())
    with pytest.raises(selectors.TaskNotFound):
        selectors.get_task(uuid4())
    with pytest.raises(selectors.ChangeNotFound):
        selectors.get_change_outcome(merge_request_id=uuid4())

    assert selectors.find_project(uuid4()) is None
    assert selectors.find_task(uuid4()) is None
    assert selectors.find_follower(task_id=uuid4()) is None


def test_task_comes_with_its_project(django_assert_num_queries):
    task_id = make_task().pk

    with django_assert_num_queries(1):
        slug = selectors.get_task(task_id).project.slug

    assert slug


@pytest.mark.parametrize(
    ("status", "is_open", "is_final"),
    [
        ("pending", False, False),
        ("open", True, False),
        ("merging", False, False),
        ("merged", False, True),
        ("refused", False, True),
        ("crashed", False, True),
        ("canceled", False, True),
    ],
)
def test_outcome_tells_what_a_waiter_needs(status, is_open, is_final):
    change = make_merge_request(status=status)

    outcome = selectors.get_change_outcome(merge_request_id=change.pk)

    assert (outcome.status, outcome.is_open, outcome.is_final) == (status, is_open, is_final)
    assert outcome.failure is None


def test_outcome_carries_the_typed_failure():
    failure = {"stage": "integration", "kind": "product", "code": "secret_found", "message": "A key"}
    change = make_merge_request(status="refused", failure=failure)

    outcome = selectors.get_change_outcome(merge_request_id=change.pk)

    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.code) == (FailureKind.PRODUCT, "secret_found")


def test_secrets_of_other_projects_stay_theirs():
    secret = make_secret(key="TOKEN", value="one")
    make_secret(key="TOKEN", value="two")

    known = selectors.known_secrets(project_id=secret.project_id)

    assert {key: one.value for key, one in known.items()} == {"TOKEN": "one"}
    assert selectors.list_secret_keys(project_id=secret.project_id) == ["TOKEN"]


def test_bundles_of_projects_and_unfinished_changes_are_in_use():
    project = make_project(status="active")
    unfinished = make_merge_request(checkout_name="checkouts/x")
    finished = make_merge_request(status="merged")
    make_project()

    names = set(selectors.bundle_names_in_use())

    assert {project.workspace_name, unfinished.bundle_name, "checkouts/x"} <= names
    assert finished.bundle_name not in names
    assert "" not in names


def test_storage_asks_this_app_before_it_collects():
    assert "projects" in storage.registered_apps()
    assert MergeRequest.final_statuses() == {"merged", "refused", "crashed", "canceled"}
