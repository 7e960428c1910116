"""What people are shown of projects, tasks and servers: one question of the database per list."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.bot import callbacks, outbox, reach, secret_lists
from apps.bot import presenters as words
from apps.bot.models import Action, Conversation
from apps.bot.talk import Talk
from apps.errors import NotFound
from apps.graph import card_text, rollbacks
from apps.infra.models import DeploymentStatus, Server, ServiceDeployment
from apps.projects.models import Project, ProjectStatus, Task, TaskStatus

MOST_SHOWN: Final = 20
_MARKS: Final[Mapping[str, str]] = {
    TaskStatus.PENDING: "○",
    TaskStatus.RUNNING: "●",
    TaskStatus.CANCELING: "●",
    TaskStatus.SUCCEEDED: "✓",
    TaskStatus.FAILED: "✕",
    TaskStatus.CRASHED: "✕",
    TaskStatus.CANCELED: "⏹",
}
UNFINISHED: Final = (TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.CANCELING)


def show_projects(talk: Talk) -> None:
    """List the projects that somebody may see, the newest first; a tap shows one."""
    projects = list(_projects(talk)[: MOST_SHOWN + 1])
    if not projects:
        talk.say(_("There are no projects yet. Write what you want to have built."))
        return
    shown = projects[:MOST_SHOWN]
    live = _live([one.pk for one in shown])
    lines = [_project_line(one, live.get(one.pk)) for one in shown]
    more = [_("… and more; name one: %(command)s") % {"command": words.code("/project NAME")}]
    buttons = [[_project_button(talk, one)] for one in shown]
    text = words.lines(_("<b>Projects</b>"), lines, more if len(projects) > MOST_SHOWN else [])
    talk.say(text, buttons=buttons)


def show_project(talk: Talk, project: Project | None) -> None:
    """Show one project: where it runs, what was done last, what can be done.

    Raises:
        NotFound: there is none.

    """
    if project is None:
        raise NotFound()
    release = _live([project.pk]).get(project.pk)
    tasks = project.tasks.order_by("-created_at")[:5]
    about = words.name(project.description, 300)
    text = words.lines(
        _project_line(project, release),
        [f"<i>{about}</i>"] if about else [],
        [words.link(project.repository_url)] if project.repository_url.startswith("http") else [],
        [_task_line(task) for task in tasks] or [_("No tasks yet.")],
    )
    buttons = _project_deeds(talk, project, release) if reach.may_change(talk.person) else []
    talk.say(text, part=f"project:{project.pk}", buttons=buttons)


def show_tasks(talk: Talk) -> None:
    """List what is under way, with a button to stop each."""
    rows = reach.visible_tasks(talk.person).filter(status__in=UNFINISHED).order_by("-created_at")
    tasks = list(rows[:MOST_SHOWN])
    if not tasks:
        talk.say(_("Nothing is under way."), buttons=_assistant_button(talk))
        return
    lines = [f"{_task_line(task)} · {words.name(task.project.name, 40)}" for task in tasks]
    talk.say(words.lines(_("<b>Under way</b>"), lines), buttons=stop_buttons(talk, tasks))


def stop_buttons(talk: Talk, tasks: Iterable[Task]) -> outbox.Buttons:
    """Return a button to stop each of some tasks, and one for the assistant while it works."""
    if not reach.may_change(talk.person):
        return []
    found = [
        [
            callbacks.button(
                _("Stop: %(title)s") % {"title": _in_short(task)},
                chat=talk.chat,
                user=talk.user,
                action=Action.STOP,
                subject=task.pk,
                key=talk.key(f"stop:{task.pk}"),
            )
        ]
        for task in tasks
        if task.status != TaskStatus.CANCELING
    ]
    return [*found, *_assistant_button(talk)]


def _in_short(task: Task) -> str:
    title = words.shortened(card_text.title(task.type, task.spec), 40)
    return title if task.spec else f"{title} · {words.shortened(task.project.name, 30)}"


def show_status(talk: Talk) -> None:
    """Say how the projects are: what runs where, what is under way, what failed last."""
    projects = list(_projects(talk).exclude(status=ProjectStatus.ARCHIVED)[:MOST_SHOWN])
    ids = [one.pk for one in projects]
    live, latest = _live(ids), _latest(ids)
    under_way = Task.objects.filter(project__in=ids, status__in=UNFINISHED)
    busy = Counter(under_way.values_list("project", flat=True))
    lines = []
    for one in projects:
        lines.append(_project_line(one, live.get(one.pk)))
        if busy[one.pk]:
            said = ngettext("%(count)s task under way", "%(count)s tasks under way", busy[one.pk])
            lines.append("  " + said % {"count": busy[one.pk]})
        last = latest.get(one.pk)
        if last is not None and last.status in (TaskStatus.FAILED, TaskStatus.CRASHED):
            lines.append("  " + _task_line(last))
    talk.say(words.lines(_("<b>How your projects are</b>"), lines or [_("There are none yet.")]))


def show_servers(talk: Talk) -> None:
    """List the servers, and how many of the projects that somebody may see run there."""
    mine = reach.visible_projects(talk.person).values("pk")
    running = Counter(
        ServiceDeployment.objects.filter(status=DeploymentStatus.LIVE, project_id__in=mine).values_list(
            "server_id", flat=True
        )
    )
    lines = [
        _("%(name)s: %(status)s, running there: %(count)s")
        % {
            "name": words.bold(server.name),
            "status": words.text(server.get_status_display()),
            "count": running[server.pk],
        }
        for server in Server.objects.order_by("name")[:MOST_SHOWN]
    ]
    talk.say(words.lines(_("<b>Servers</b>"), lines or [_("There are none yet.")]))


def _projects(talk: Talk) -> QuerySet[Project]:
    return reach.visible_projects(talk.person).order_by("-created_at")


def _live(project_ids: Iterable[UUID]) -> dict[UUID, ServiceDeployment]:
    """Return the live release of each project; of several services the one with an address."""
    rows = ServiceDeployment.objects.filter(project_id__in=list(project_ids), status=DeploymentStatus.LIVE)
    return {row.project_id: row for row in rows.order_by("url", "live_at")}


def _latest(project_ids: Iterable[UUID]) -> dict[UUID, Task]:
    rows = Task.objects.filter(project_id__in=list(project_ids)).order_by("project_id", "-created_at")
    return {task.project_id: task for task in rows.distinct("project_id")}


def _project_line(project: Project, release: ServiceDeployment | None) -> str:
    status = words.text(project.get_status_display())
    if release is None:
        return f"○ {words.bold(project.name)} ({words.code(project.slug)}): {status}"
    where = words.link(release.url) if release.url else _("running")
    return f"● {words.bold(project.name)} ({words.code(project.slug)}): {where}"


def _task_line(task: Task) -> str:
    title = words.name(card_text.title(task.type, task.spec), 80)
    line = f"{_MARKS.get(task.status, '·')} {title}: {words.text(task.get_status_display())}"
    code = (task.failure or {}).get("code")
    return f"{line} ({words.name(code)})" if code else line


def _project_button(talk: Talk, project: Project) -> outbox.Button:
    return callbacks.button(
        words.shortened(project.name, 60),
        chat=talk.chat,
        user=talk.user,
        action=Action.PROJECT,
        subject=project.pk,
        key=talk.key(f"project:{project.pk}"),
        is_reusable=True,
    )


def _project_deeds(
    talk: Talk, project: Project, release: ServiceDeployment | None
) -> list[list[outbox.Button]]:
    buttons = [secret_lists.secrets_button(talk, project)]
    earlier = rollbacks.find_earlier(release) if release is not None else None
    if earlier is None:
        return [buttons]
    title = _("Roll back to %(sha)s") % {"sha": earlier.commit_sha[:8]}
    back = callbacks.button(
        title,
        chat=talk.chat,
        user=talk.user,
        action=Action.ROLLBACK,
        subject=project.pk,
        argument=str(earlier.pk),
        key=talk.key(f"rollback:{earlier.pk}"),
    )
    return [buttons, [back]]


def _assistant_button(talk: Talk) -> list[list[outbox.Button]]:
    turn_id = Conversation.objects.filter(user=talk.person).values_list("turn_id", flat=True).first()
    if turn_id is None:
        return []
    stop = callbacks.button(
        _("Stop the assistant"),
        chat=talk.chat,
        user=talk.user,
        action=Action.STOP_ASSISTANT,
        subject=turn_id,
        key=talk.key("stop_assistant"),
    )
    return [[stop]]
