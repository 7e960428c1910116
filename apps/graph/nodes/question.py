"""A person is waited for like a machine: a row is asked, and read again until it is answered."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.errors import Invalid
from apps.failures import Failure, FailureKind
from apps.graph.models import Question, QuestionStatus, Run
from apps.graph.nodes import facts
from apps.graph.state import RunState, Verdict, Wait
from apps.projects import selectors as projects
from apps.projects.models import TaskEventKind


def resolve_secrets(state: RunState) -> RunState:
    """Find the first secret that a service needs and nobody has given yet."""
    known = projects.list_secret_keys(project_id=UUID(state["project_id"]))
    for service in facts.services_of(facts.project_of(state)):
        for key in required_secrets(service):
            if key not in known:
                return {"verdict": Verdict.AGAIN, "secret_key": key}
    return {"secret_key": ""}


def required_secrets(service: dict[str, object]) -> list[str]:
    """Return the names a service of the manifest lists under ``secrets``; the list is optional.

    Raises:
        Invalid: it is not a list of names.

    """
    listed = service.get("secrets") or []
    if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
        raise Invalid("The manifest's secrets are not a list of names.", details={"field": "secrets"})
    return list(listed)


def request_answer(state: RunState) -> RunState:
    """Ask for the missing secret; its value goes into the project's secrets, never into the answer."""
    key = state["secret_key"]
    run = Run.objects.get(pk=facts.run_id(state))
    patience = timezone.now() + timedelta(seconds=settings.GRAPH_WORKFLOW_DEADLINE_SECONDS)
    question, _ = Question.objects.get_or_create(
        idempotency_key=f"run-{state['run_id']}-secret-{key}",
        defaults={
            "run": run,
            "text": f"The service needs a value for {key}.",
            "secret_key": key,
            "deadline_at": min(run.deadline_at, patience),
        },
    )
    facts.tell(state, TaskEventKind.QUESTION_ASKED, key, {"question": str(question.pk), "secret": key})
    return {"question_id": str(question.pk)}


def await_answer(state: RunState) -> RunState | Wait:
    """Wait for the answer; then look again for what is missing."""
    question = Question.objects.get(pk=UUID(state["question_id"]))
    if question.status == QuestionStatus.OPEN:
        if question.deadline_at > timezone.now():
            return Wait("question", state["question_id"])
        Question.try_transition(question.pk, to=QuestionStatus.EXPIRED)
        question = question.reload()
    if question.status == QuestionStatus.ANSWERED:
        return {"verdict": Verdict.OK}
    failure = Failure(
        stage="question",
        kind=FailureKind.USER,
        code=f"question_{question.status}",
        message=f"No value was given for {question.secret_key or 'a question'}.",
        retryable=True,
    )
    return facts.refused(failure, Verdict.STOP)
