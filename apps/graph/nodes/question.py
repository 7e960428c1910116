"""A person is waited for like a machine: a row is asked, and read again until it is answered."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from apps.failures import Failure, FailureKind
from apps.graph.models import Question, QuestionStatus, Run
from apps.graph.nodes import facts
from apps.graph.release import release_of
from apps.graph.signals import announce, question_changed
from apps.graph.state import RunState, Verdict, Wait
from apps.projects import services as projects
from apps.projects.environment_contract import SecretFormat
from apps.projects.models import TaskEventKind

LANGUAGES = ("en", "ru")


def resolve_secrets(state: RunState) -> RunState:
    """Generate what is generated, once, and find the first secret that only a person can give."""
    release = release_of(state)
    if release.resolution.to_generate:
        projects.generate_secrets(project_id=release.project.pk, entries=release.resolution.to_generate)
    if release.resolution.missing:
        return {"verdict": Verdict.AGAIN, "secret_key": release.resolution.missing[0].key}
    return {"secret_key": ""}


def request_answer(state: RunState) -> RunState:
    """Ask for the missing secret; its value goes into the project's secrets, never into the answer."""
    key = state["secret_key"]
    run = Run.objects.get(pk=facts.run_id(state))
    patience = timezone.now() + timedelta(seconds=settings.GRAPH_WORKFLOW_DEADLINE_SECONDS)
    question, is_new = Question.objects.get_or_create(
        idempotency_key=f"run-{state['run_id']}-secret-{key}",
        defaults={
            "run": run,
            **_words(state, key),
            "secret_key": key,
            "deadline_at": min(run.deadline_at, patience),
        },
    )
    if is_new:
        announce(question_changed, question_id=question.pk)
    facts.tell(state, TaskEventKind.QUESTION_ASKED, key, {"question": str(question.pk), "secret": key})
    return {"question_id": str(question.pk)}


def _words(state: RunState, key: str) -> dict[str, Any]:
    """Return the question in every language we speak, with what the contract says of the value."""
    entry = next((one for one in release_of(state).resolution.missing if one.key == key), None)
    texts = {}
    for language in LANGUAGES:
        with translation.override(language):
            lines = [_("The service needs a value for %(key)s.") % {"key": key}]
            if entry is not None and entry.describe(language):
                lines.append(entry.describe(language))
            if entry is not None and (form := _form_of(entry.format)):
                lines.append(form)
            texts[language] = "\n".join(lines)
    return {"text": texts["en"], "texts": texts}


def _form_of(kind: SecretFormat | None) -> str:
    """Say what a value looks like; empty where any text will do."""
    match kind:
        case "telegram_bot_token":
            return _("It comes from @BotFather and looks like 123456789:AA….")
        case "openai_key":
            return _("It begins with sk-.")
        case "url":
            return _("It is an address with its scheme: https://….")
    return ""


def await_answer(state: RunState) -> RunState | Wait:
    """Wait for the answer; then look again for what is missing."""
    question = Question.objects.get(pk=UUID(state["question_id"]))
    if question.status == QuestionStatus.OPEN:
        if question.deadline_at > timezone.now():
            return Wait("question", state["question_id"])
        Question.try_transition(question.pk, to=QuestionStatus.EXPIRED)
        announce(question_changed, question_id=question.pk)
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
