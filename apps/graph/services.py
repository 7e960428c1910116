"""Requests to this app: start, cancel and retry a task, answer a question."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.enqueue import enqueue
from apps.errors import Conflict, Invalid, NotFound
from apps.graph import starting, tasks
from apps.graph.models import Question, QuestionStatus, Run, RunStatus
from apps.graph.signals import announce, question_changed
from apps.projects import services as projects
from apps.projects import timeline
from apps.projects.models import Task, TaskEventKind, TaskStatus
from apps.workers import attachments
from apps.workers.models import Attachment

MAX_ANSWER_CHARACTERS = 10_000
RETRYABLE = frozenset({TaskStatus.FAILED, TaskStatus.CRASHED, TaskStatus.CANCELED})


class NotRetryable(Conflict):
    """Only a task that failed, crashed or was canceled can be tried again."""

    code = "not_retryable"


class AlreadyStarted(Conflict):
    """A task gets its files before it is started."""

    code = "already_started"


class AlreadyAnswered(Conflict):
    """The question is not open any more."""

    code = "question_closed"


@transaction.atomic
def start_task(*, task_id: UUID) -> UUID:
    """Start a task; starting one that runs returns the run it has.

    Returns:
        The run's id.

    Raises:
        IllegalTransition: the task has ended.
        NotFound: there is no such task.

    """
    run_id, is_new = starting.open_run(task_id)
    if is_new:
        enqueue(tasks.advance_run, run_id=str(run_id))
    return run_id


@transaction.atomic
def cancel_task(*, task_id: UUID) -> None:
    """Cancel a task at whatever point it is; canceling it again changes nothing.

    Raises:
        IllegalTransition: the task has ended.
        NotFound: there is no such task.

    """
    task = starting.lock_task(task_id)
    if task.status in (TaskStatus.CANCELING, TaskStatus.CANCELED):
        return
    if task.status == TaskStatus.PENDING:
        projects.cancel_pending_task(task_id=task_id)
        timeline.record(task_id=task_id, key="end", kind=TaskEventKind.CANCELED)
        return
    projects.mark_task_canceling(task_id=task_id)
    timeline.record(task_id=task_id, key="cancel_requested", kind=TaskEventKind.CANCEL_REQUESTED)
    run_id = starting.find_unfinished(task_id)
    if run_id is None:
        raise NotFound(f"Task {task_id} is running without a run.")
    Run.transition(run_id, to=RunStatus.CANCELING)
    enqueue(tasks.advance_run, run_id=str(run_id))


@transaction.atomic
def retry_task(*, task_id: UUID, requested_by_id: int | None) -> UUID:
    """Try a task again as a new one, started at once; while one retry runs, that is the answer.

    Returns:
        The new task's id.

    Raises:
        NotFound: there is no such task.
        NotRetryable: it has not failed.
        ProjectArchived: its project is no longer worked on.

    """
    task = starting.lock_task(task_id)
    if task.status not in RETRYABLE:
        raise NotRetryable(details={"status": task.status})
    running = task.retries.exclude(status__in=Task.final_statuses()).first()
    if running is not None:
        return running.pk
    new_id = projects.create_task(
        project_id=task.project_id,
        type=task.type,
        spec=task.spec,
        requested_by_id=requested_by_id,
        deploy_after=task.deploy_after,
        allow_protected=task.allow_protected,
        follows_id=task.follows_id,
        retry_of_id=task.pk,
        rollback_to=task.rollback_to,
    )
    attachments.copy_all(from_task_id=task_id, to_task_id=new_id)
    start_task(task_id=new_id)
    return new_id


@transaction.atomic
def attach_file(*, task_id: UUID, owner_id: int, attachment_id: UUID) -> Attachment:
    """Give a task that was not started yet a file of the person who asks for it.

    Raises:
        AlreadyStarted: its workers may have begun without the file.
        AttachmentNotFound: the person has no such file.
        NotFound: there is no such task.
        TooManyAttachments: the task has its fill.

    """
    task = starting.lock_task(task_id)
    if task.status != TaskStatus.PENDING:
        raise AlreadyStarted(details={"status": task.status})
    handed = attachments.hand_over(attachment_id=attachment_id, owner_id=owner_id, task_id=task_id)
    return Attachment.objects.get(pk=handed)


@transaction.atomic
def answer_question(*, question_id: UUID, text: str) -> None:
    """Answer a question; a secret goes into the project's secrets and nowhere else.

    Raises:
        AlreadyAnswered: the question is not open.
        Invalid: the answer is empty, too long, or none of the options.
        NotFound: there is no such question.

    """
    question = Question.objects.select_related("run__task").filter(pk=question_id).first()
    if question is None:
        raise NotFound(f"There is no question {question_id}.")
    # Of a question without a run, the answer is its Product Owner's next turn: whoever leads the
    # conversation hears the signal.
    task = None if question.run is None else starting.lock_task(question.run.task_id)
    _check_answer(question, text)
    if task is not None and question.secret_key:
        projects.set_secret(project_id=task.project_id, key=question.secret_key, value=text)
    answered = Question.try_transition(
        question_id,
        to=QuestionStatus.ANSWERED,
        answer="" if question.secret_key else text,
        answered_at=timezone.now(),
    )
    if not answered:
        raise AlreadyAnswered(details={"status": question.reload().status})
    announce(question_changed, question_id=question_id)
    if task is not None:
        _tell_answered(question, task)


def _tell_answered(question: Question, task: Task) -> None:
    timeline.record(
        task_id=task.pk,
        key=f"question_answered:{question.pk}",
        kind=TaskEventKind.QUESTION_ANSWERED,
        data={"question": str(question.pk), "secret": question.secret_key},
    )
    enqueue(tasks.advance_run, run_id=str(question.run_id))


def _check_answer(question: Question, text: str) -> None:
    # Of a secret, those who keep it know how long it may be.
    is_long = len(text) > MAX_ANSWER_CHARACTERS and not question.secret_key
    if not text.strip() or is_long:
        raise Invalid("The answer is empty or too long.", details={"text": f"1 to {MAX_ANSWER_CHARACTERS}"})
    if question.options and text not in question.options:
        raise Invalid("The answer is none of the options.", details={"text": "one of the options"})
