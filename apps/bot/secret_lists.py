"""Which secrets projects have and lack, as messages with buttons; never a value."""

from typing import Final

from django.utils.translation import gettext as _

from apps.bot import callbacks, outbox, pool, questions, reach
from apps.bot import presenters as words
from apps.bot.models import Action
from apps.bot.talk import Talk
from apps.projects.models import Project, ProjectStatus

_MOST_OFFERED: Final = 20


def secrets_button(talk: Talk, project: Project, title: str = "") -> outbox.Button:
    """Return a button that shows the secrets of a project."""
    return callbacks.button(
        words.shortened(title or _("Secrets"), 60),
        chat=talk.chat,
        user=talk.user,
        action=Action.SECRETS,
        subject=project.pk,
        key=talk.key(f"secrets:{project.pk}"),
        is_reusable=True,
    )


def project_buttons(talk: Talk) -> outbox.Buttons:
    """Return a button for the secrets of each project that the person may change."""
    rows = reach.visible_projects(talk.person).exclude(status=ProjectStatus.ARCHIVED)
    newest = rows.order_by("-created_at")[:_MOST_OFFERED]
    return [[secrets_button(talk, project, project.name)] for project in newest]


def show_secrets(talk: Talk, project: Project) -> None:
    """Show which secrets a project has and lacks, with a button for each."""
    known = _given(project)
    names = names_of(project)
    lines = [f"{'✓' if key in known else '○'} {words.code(key)}" for key in names]
    head = _("Secrets of %(project)s; a tap gives one a (new) value.") % {"project": words.bold(project.name)}
    hint = _("Another one: %(command)s") % {"command": words.code(f"/secret {project.slug} NAME")}
    buttons = [_secret_button(talk, project, key, Action.SECRET, key) for key in names[:_MOST_OFFERED]]
    if pool.free_tokens():
        pooled = [key for key in names if questions.format_of(project, key) == pool.BOT_TOKEN]
        title = _("%(key)s: a bot from the pool")
        buttons += [_secret_button(talk, project, key, Action.POOL, title % {"key": key}) for key in pooled]
    talk.say(words.lines(head, lines, hint), part="secrets", buttons=[[one] for one in buttons])


def names_of(project: Project) -> list[str]:
    """Return the names of the secrets that a project wants, and of those that it has besides."""
    entries = (project.manifest or {}).get("environment") or []
    wanted = [str(one.get("key")) for one in entries if one.get("source") == "user_secret"]
    return [*wanted, *sorted(_given(project) - set(wanted))]


def _given(project: Project) -> set[str]:
    return set(project.secrets.values_list("key", flat=True))


def _secret_button(talk: Talk, project: Project, key: str, action: Action, title: str) -> outbox.Button:
    return callbacks.button(
        title,
        chat=talk.chat,
        user=talk.user,
        action=action,
        subject=f"project:{project.pk}",
        argument=key,
        key=talk.key(f"{action}:{key}"),
        is_reusable=action == Action.SECRET,
    )
