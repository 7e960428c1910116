"""Whatever the schema allows, and much that it does not: never a 5xx, never a status that it does not name.

``FUZZ_EXAMPLES=200`` tries harder.
"""

import os
import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.projects.models import PersonalToken
from apps.projects.services import issue_token
from apps.roles import Role
from apps.workers.credentials import credentials_of
from apps.workers.models import Worker
from tests.factories import make_user, make_worker
from tests.orchestrator.test_routes import make_world

pytestmark = [pytest.mark.service, pytest.mark.django_db]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))
TOLD_CHARACTERS = 1_500
#: Its answer does not end while the task goes on.
ENDLESS = "/stream"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(autouse=True)
def _unlimited(settings):
    settings.API_REQUESTS_PER_MINUTE = settings.API_REQUESTS_PER_MINUTE_PER_TOKEN = 10_000_000


@pytest.fixture
def operations() -> Iterator[Any]:
    # As Django's own client does: the test's transaction must outlive a request.
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", app=get_wsgi_application())
    yield [found.ok() for found in schema.get_all_operations()]
    for signal in signals:
        signal.connect(close_old_connections)


def try_hard(
    operation: Any, headers: dict[str, str], *, rows: dict[str, Any], mode: GenerationMode
) -> list[str]:
    """Send what may come for one operation; every other request names a row that exists.

    Returns:
        What went wrong.
    """
    count = 0

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        nonlocal count
        count += 1
        resource = operation.path.split("/")[2]
        if count % 2 and resource in rows and case.path_parameters and not operation.path.endswith(ENDLESS):
            case.path_parameters = dict.fromkeys(case.path_parameters, str(rows[resource]))
        case.call_and_validate(checks=CHECKS, headers=headers)

    try:
        send()
    except Unsatisfiable:
        if mode is GenerationMode.NEGATIVE:
            return []  # nothing about this operation can be wrong
        return [f"{operation.label}: nothing that the schema allows could be made"]
    except (Failure, FailureGroup) as error:
        return [f"{operation.label}: {''.join(traceback.format_exception(error))[-TOLD_CHARACTERS:]}"]
    assert count
    return []


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_owner_with_a_token_of_all_scopes(operations, mode):
    owner = make_user(role=Role.OWNER)
    rows = make_world(owner).ids
    wrong = []

    for operation in operations:
        # Each its own: one of them signs out.
        _, words = issue_token(person_id=owner.pk, name="fuzz")
        wrong += try_hard(operation, {"Authorization": f"Token {words}"}, rows=rows, mode=mode)
        PersonalToken.objects.filter(name="fuzz").delete()

    assert len(operations) > 60
    assert not wrong, "\n".join(wrong)


def test_worker_with_all_commands(operations):
    owner = make_user()
    worker = make_worker(owner_id=owner.pk, allowed_commands=["*"])
    secrets = credentials_of(worker.pk)
    Worker.objects.filter(pk=worker.pk).update(token_sha256=secrets.token_sha256)
    rows, headers = make_world(owner).ids, {"Authorization": f"Worker {secrets.token}"}
    wrong = []

    for operation in operations:
        wrong += try_hard(operation, headers, rows=rows, mode=GenerationMode.POSITIVE)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("header", ["Token nonsense", "Worker nonsense"])
def test_token_that_is_none(operations, header):
    wrong = []

    for operation in operations:
        wrong += try_hard(operation, {"Authorization": header}, rows={}, mode=GenerationMode.POSITIVE)

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("why", ["revoked", "expired"])
def test_token_that_was_one(operations, why):
    person = make_user()
    token, words = issue_token(person_id=person.pk, name="fuzz")
    rows = PersonalToken.objects.filter(pk=token.pk)
    rows.delete() if why == "revoked" else rows.update(expiry=timezone.now() - timedelta(seconds=1))
    wrong = []

    for operation in operations[:: 1 if EXAMPLES > 4 else 5]:
        wrong += try_hard(
            operation, {"Authorization": f"Token {words}"}, rows={}, mode=GenerationMode.POSITIVE
        )

    assert not wrong, "\n".join(wrong)
