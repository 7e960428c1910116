"""What a person may look at and change through the chat: read only."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from apps import roles
from apps.bot.models import Chat, ChatStatus
from apps.errors import Conflict, NotFound
from apps.graph.models import Question
from apps.projects.models import Project, Task, User
from apps.roles import Role


class Denied(Conflict):
    """Your role does not allow that."""

    code = "denied"


def powers_of(person: User) -> roles.Powers:
    """Return what a person may do in the chat."""
    return roles.powers(person.role)


def may_change(person: User) -> bool:
    """Tell whether a person may do more than look."""
    return powers_of(person).touches


def visible_projects(person: User) -> QuerySet[Project]:
    """Return the projects that a person may look at."""
    rows = Project.objects.all()
    return rows if powers_of(person).sees_all else rows.filter(owner=person)


def visible_tasks(person: User) -> QuerySet[Task]:
    """Return the tasks that a person may look at."""
    rows = Task.objects.select_related("project")
    return rows if powers_of(person).sees_all else rows.filter(project__owner=person)


def find_project(person: User, words: str) -> Project:
    """Return the one project that a person means by its slug or the beginning of slug or name.

    Raises:
        NotFound: none that they may see is called so, or several are.

    """
    rows = visible_projects(person)
    exact = rows.filter(slug__iexact=words).first()
    if exact is not None:
        return exact
    found = list((rows.filter(slug__istartswith=words) | rows.filter(name__istartswith=words))[:2])
    if len(found) != 1 or not words:
        raise NotFound(details={"project": words})
    return found[0]


def project_to_change(person: User, project_id: UUID | str) -> Project:
    """Return a project that a person may change.

    Raises:
        Denied: the role only lets them look.
        NotFound: there is none of that id that they may see.

    """
    must_change(person)
    project = visible_projects(person).filter(pk=project_id).first()
    if project is None:
        raise NotFound(details={"project": str(project_id)})
    return project


def task_to_change(person: User, task_id: UUID | str) -> Task:
    """Return a task that a person may steer.

    Raises:
        Denied: the role only lets them look.
        NotFound: there is none of that id that they may see.

    """
    must_change(person)
    task = visible_tasks(person).filter(pk=task_id).first()
    if task is None:
        raise NotFound(details={"task": str(task_id)})
    return task


def question_to_answer(person: User, question_id: UUID | str) -> Question:
    """Return a question that a person may answer.

    Raises:
        Denied: the role only lets them look.
        NotFound: there is none of that id that is theirs.

    """
    must_change(person)
    question = Question.objects.select_related("run__task__project").filter(pk=question_id).first()
    if question is None:
        raise NotFound(details={"question": str(question_id)})
    if question.run is None:
        is_theirs = question.owner_id == person.pk
    else:
        is_theirs = visible_tasks(person).filter(pk=question.run.task_id).exists()
    if not is_theirs:
        raise NotFound(details={"question": str(question_id)})
    return question


def must_change(person: User) -> None:
    """Refuse those who may only look.

    Raises:
        Denied: the role only lets them look.

    """
    if not may_change(person):
        raise Denied()


def must_operate(person: User) -> None:
    """Refuse those who do not run the installation.

    Raises:
        Denied: the role does not allow it.

    """
    if not powers_of(person).operates:
        raise Denied()


def chats_of(people: Iterable[int | None]) -> list[Chat]:
    """Return the chats in which these people can be reached."""
    ids = {one for one in people if one is not None}
    rows = Chat.objects.select_related("user").filter(
        user_id__in=ids, user__is_active=True, status=ChatStatus.ACTIVE
    )
    return list(rows.order_by("pk"))


def chats_of_task(task: Task) -> list[Chat]:
    """Return the chats in which a task is followed: of who asked for it and of whose project it is."""
    return chats_of([task.requested_by_id, task.project.owner_id])


def operator_chats() -> list[Chat]:
    """Return the chats of those who run the installation."""
    rows = Chat.objects.filter(
        status=ChatStatus.ACTIVE, user__role__in=[Role.OWNER, Role.OPERATOR], user__is_active=True
    )
    return list(rows.order_by("pk"))
