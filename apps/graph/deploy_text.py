"""The words of a deployment's lines on the card."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from apps.projects.models import TaskEventKind

Data = Mapping[str, Any]


def _rollback(data: Data) -> str:
    return _("Going back to the release %(sha)s") % {"sha": str(data.get("sha", ""))[:8]}


def _capacity_awaited(_data: Data) -> str:
    return _("Waiting for room on a server")


def _ports(data: Data) -> str:
    if data.get("server"):
        return _("Room on the server %(server)s") % {"server": data["server"]}
    if not data.get("port"):
        return _("A place is prepared for %(service)s") % {"service": data.get("service", "")}
    return _("Port %(port)s allocated") % {"port": data["port"]}


def _workflow_started(data: Data) -> str:
    return _with_link(_("The deploy workflow is running"), data)


def _workflow_finished(data: Data) -> str:
    return _with_link(_("The deploy workflow has ended well"), data)


def _workflow_failed(data: Data) -> str:
    where = ", ".join(str(data[name]) for name in ("job", "step") if data.get(name))
    text = _("The deploy workflow failed (%(code)s)") % {"code": data.get("code", "")}
    text = f"{text}: {where}" if where else text
    again = _("it is tried once more")
    return _with_link(f"{text}; {again}" if data.get("again") else text, data)


def _deployed(data: Data) -> str:
    if data.get("url"):
        return _("Deployed: %(url)s") % {"url": data["url"]}
    if data.get("bot"):
        return _("The bot @%(bot)s answers") % {"bot": data["bot"]}
    return _("%(service)s is running") % {"service": data.get("service", "")}


def _returned(_data: Data) -> str:
    return _("The project's own code is at fault: sent back to engineering with the log")


def _with_link(text: str, data: Data) -> str:
    return f"{text} · {data['url']}" if data.get("url") else text


SPECIAL: dict[str, Callable[[Data], str]] = {
    TaskEventKind.ROLLBACK: _rollback,
    TaskEventKind.CAPACITY_AWAITED: _capacity_awaited,
    TaskEventKind.PORT_ALLOCATED: _ports,
    TaskEventKind.WORKFLOW_STARTED: _workflow_started,
    TaskEventKind.WORKFLOW_FINISHED: _workflow_finished,
    TaskEventKind.WORKFLOW_FAILED: _workflow_failed,
    TaskEventKind.DEPLOYED: _deployed,
    TaskEventKind.RETURNED: _returned,
}
