"""What the chat shows and does for those who run the installation."""

from collections import Counter
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.bot import auditing, callbacks, outbox, reach
from apps.bot import presenters as words
from apps.bot.models import Action, ChatMessage, ChatMessageStatus, Delivery, DeliveryStatus, Trouble
from apps.bot.talk import Talk
from apps.errors import NotFound
from apps.infra import permission, provisioning
from apps.infra.models import (
    MAY_BE_SET_UP,
    UNFINISHED_PROVISIONING,
    DeploymentStatus,
    Incident,
    IncidentStatus,
    Server,
    ServerKind,
    ServerProvider,
    ServerStatus,
    ServiceDeployment,
)
from apps.projects.models import Task, TaskStatus, User
from apps.projects.services import people
from apps.roles import Role
from apps.workers import liveness_words, queueing
from apps.workers.models import UNFINISHED, Worker

_MOST: Final = 20
_RECENTLY: Final = timedelta(days=1)
_INVITED_FOR: Final = timedelta(days=7)


def show_workers(talk: Talk) -> None:
    """List the workers that have not ended, with a button to stop each."""
    rows = list(Worker.objects.filter(status__in=UNFINISHED).order_by("-created_at")[:_MOST])
    lines = [
        f"{words.code(str(row.pk)[:8])} {row.worker_type}, {words.name(row.agent_type)}: "
        f"{words.text(row.get_status_display())} · {words.name(liveness_words.text_of(row))}"
        for row in rows
    ]
    text = words.lines(_("<b>Workers</b>"), lines or [_("There are none.")])
    talk.say(text, buttons=[[_kill_button(talk, row)] for row in rows])


def kill(talk: Talk) -> None:
    """Ask whether a worker shall be stopped, named by the beginning of its id; without one, list them.

    Raises:
        NotFound: none that has not ended is called so, or several are.

    """
    wanted = talk.incoming.argument.lower()
    if not wanted:
        show_workers(talk)
        return
    running = Worker.objects.filter(status__in=UNFINISHED).order_by("-created_at")
    rows = [row for row in running if str(row.pk).startswith(wanted)]
    if len(rows) != 1:
        raise NotFound(_("Name one worker of /workers by the beginning of its id."))
    text = _(
        "Stop worker %(id)s? What it has not handed over is kept as a snapshot; its task goes on elsewhere."
    )
    talk.say(text % {"id": words.code(str(rows[0].pk)[:8])}, buttons=[[_kill_button(talk, rows[0])]])


def _kill_button(talk: Talk, row: Worker) -> outbox.Button:
    return callbacks.button(
        _("Stop %(id)s") % {"id": str(row.pk)[:8]},
        chat=talk.chat,
        user=talk.user,
        action=Action.KILL,
        subject=row.pk,
        key=talk.key(f"kill:{row.pk}"),
    )


def show_queues(talk: Talk) -> None:
    """Show how many things wait where."""
    line = queueing.line()
    first = next(iter(line.values()), None)
    places = f" ({first.running}/{first.limit})" if first else ""
    tasks = Counter(
        Task.objects.filter(
            status__in=[TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.CANCELING]
        ).values_list("status", flat=True)
    )
    unsent = Delivery.objects.filter(status__in=[DeliveryStatus.PENDING, DeliveryStatus.SENDING]).count()
    unread = ChatMessage.objects.filter(status=ChatMessageStatus.PENDING).count()
    text = words.lines(
        _("<b>What waits</b>"),
        _("Workers that wait for a place: %(count)s") % {"count": len(line)} + places,
        _("Tasks not begun: %(count)s") % {"count": tasks[TaskStatus.PENDING]},
        _("Tasks under way: %(count)s") % {"count": tasks[TaskStatus.RUNNING] + tasks[TaskStatus.CANCELING]},
        _("Messages that nobody has read: %(count)s") % {"count": unread},
        _("Messages not sent yet: %(count)s") % {"count": unsent},
    )
    talk.say(text)


def show_incidents(talk: Talk) -> None:
    """Show the open incidents, the worst first, the bot's troubles, and deployments that failed in a day."""
    # By the alphabet "critical" comes before "warning".
    incidents = Incident.objects.filter(status=IncidentStatus.OPEN).order_by("severity", "-opened_at")[:_MOST]
    troubles = Trouble.objects.filter(resolved_at=None).order_by("-last_at")[:_MOST]
    since = timezone.now() - _RECENTLY
    failed = ServiceDeployment.objects.filter(
        status__in=[DeploymentStatus.FAILED, DeploymentStatus.CRASHED], finished_at__gt=since
    ).order_by("-finished_at")[:_MOST]
    lines = [
        f"✕ {words.text(one.get_severity_display())}: {words.name(one.message, 200)} ×{one.count}"
        for one in incidents
    ]
    lines += [f"✕ {words.name(one.code)} ×{one.times}: {words.name(one.message, 200)}" for one in troubles]
    lines += [
        f"✕ {words.name(one.project_slug)}/{words.name(one.service_name)}: "
        f"{words.name((one.failure or {}).get('code', '?'))}"
        for one in failed
    ]
    talk.say(words.lines(_("<b>What is broken</b>"), lines or [_("Nothing, as far as I know.")]))


def provision(talk: Talk) -> None:
    """Ask whether a server shall be set up, by its name; without one, list those that may be.

    Raises:
        Conflict: nothing may be done to that server, or it is being set up.
        NotFound: there is no such server.

    """
    wanted = talk.incoming.argument
    if not wanted:
        _show_servers_to_set_up(talk)
        return
    server = Server.objects.filter(name__iexact=wanted).first()
    if server is None:
        raise NotFound(details={"server": wanted})
    permission.refuse_unless_managed(server, managed_ids=settings.INFRA_MANAGED_SERVER_IDS)
    if server.provisionings.filter(status__in=UNFINISHED_PROVISIONING).exists():
        raise provisioning.ProvisioningUnderWay()
    text = _(
        "Set up %(name)s (%(status)s)? The playbook is run on it: keys, updates, Docker, firewall. Nothing is"
        " erased; until it is done, no project is deployed there."
    ) % {"name": words.bold(server.name), "status": words.text(server.get_status_display())}
    button = callbacks.button(
        _("Set up %(name)s") % {"name": server.name},
        chat=talk.chat,
        user=talk.user,
        action=Action.PROVISION,
        subject=server.pk,
        key=talk.key(f"provision:{server.pk}"),
    )
    talk.say(text, buttons=[[button]])


def begin_provisioning(talk: Talk, *, server_id: int) -> str:
    """Ask for the set-up of a server; returns what the tap is answered.

    Raises:
        Conflict: nothing may be done to it (any more), or it is being set up.
        Denied: the role does not allow it.
        NotFound: there is no such server.

    """
    reach.must_operate(talk.person)
    provisioning.request_provisioning(
        idempotency_key=talk.key("provision"), server_id=server_id, user_id=talk.person.pk
    )
    return _("The set-up begins; /servers shows its end.")


def _show_servers_to_set_up(talk: Talk) -> None:
    possible = Server.objects.filter(kind=ServerKind.SSH, status__in=MAY_BE_SET_UP).order_by("name")
    rows = [
        row
        for row in possible
        if row.provider == ServerProvider.MANUAL
        or permission.is_named(row, settings.INFRA_MANAGED_SERVER_IDS)
    ]
    # Those that wait for their set-up come first.
    rows.sort(key=lambda row: row.status not in (ServerStatus.DISCOVERED, ServerStatus.PENDING_SETUP))
    lines = [f"{words.code(row.name)}: {words.text(row.get_status_display())}" for row in rows[:_MOST]]
    how = _("To set one up: %(command)s") % {"command": words.code("/provision NAME")}
    added = _("Servers are added in the admin: address, user and key.")
    if not lines:
        talk.say(words.lines(_("There is no server that could be set up."), added))
        return
    talk.say(words.lines(_("<b>Servers that may be set up</b>"), lines, how, added))


def show_users(talk: Talk) -> None:
    """List the people with their roles."""
    rows = User.objects.order_by("-is_active", "username")[: _MOST * 2]
    lines = [
        f"{'●' if row.is_active else '○'} {words.name(row.username)}: {words.text(Role(row.role).label)}"
        + (f" · {words.code(row.telegram_id)}" if row.telegram_id else "")
        for row in rows
    ]
    talk.say(words.lines(_("<b>People</b>"), lines))


def invite(talk: Talk) -> None:
    """Make an invitation for a role; whoever opens its link first, or sends its code, comes in by it.

    Raises:
        Invalid: there is no such role.

    """
    role = talk.incoming.argument.lower() or Role.MEMBER
    invitation, code = people.invite(created_by_id=talk.person.pk, role=role, ttl=_INVITED_FOR)
    auditing.note_invitation(talk, invitation)
    text = _("This lets one person in, as: %(role)s. It is good for 7 days.") % {
        "role": words.text(Role(invitation.role).label)
    }
    link = people.link_of(code)
    opened = [_("They open: %(link)s") % {"link": words.link(link)}] if link else []
    sent = _("Or they send me: %(command)s") if link else _("They send me: %(command)s")
    talk.say(words.lines(text, opened, sent % {"command": words.code(f"/start {code}")}))
