"""How somebody's projects are: every word out of the answers of three commands."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker_image.rehearsal.owner.hands import Hands
from worker_image.rehearsal.owner.texts import say, short

_SHOWN: Final = 10
_ENDED: Final = ("failed",)

Rows = Sequence[Mapping[str, Any]]


def report(hands: Hands, language: str) -> str:
    """Return a report on health and load.

    Raises:
        CommandRefused: a fact could not be had; nothing is said instead of it.

    """
    projects: Rows = [row for row in hands.run("project", "list") if row.get("status") != "archived"]
    if not projects:
        return say("no_projects", language)
    tasks: Rows = hands.run("task", "list", "--limit", "200")
    releases: Rows = hands.run("deploy", "list", "--limit", "200")
    servers: Rows = hands.run("infra", "servers")
    lines = [say("status_head", language, count=len(projects))]
    for project in projects[:_SHOWN]:
        states = _states(project, tasks, releases, language)
        lines.append(f"• **{short(str(project['name']))}**: {'; '.join(states)}")
    if len(projects) > _SHOWN:
        lines.append(say("more", language, count=len(projects) - _SHOWN))
    lines.append(_load(tasks, servers, language))
    return "\n".join(lines)


def _states(project: Mapping[str, Any], tasks: Rows, releases: Rows, language: str) -> list[str]:
    own = [task for task in tasks if task.get("project_id") == project["id"]]
    states = [
        _release(release, language) for release in releases if release.get("project_id") == project["id"]
    ] or [say("not_live", language)]
    for status in ("running", "queued"):
        states += [
            say(f"task_{status}", language, spec=_title(task)) for task in own if task.get("status") == status
        ]
    # They come the newest first: what was mended since is no news.
    if own and own[0].get("status") in _ENDED:
        failure = own[0].get("failure") or {}
        states.append(say("task_failed", language, reason=short(str(failure.get("message") or "?"), 200)))
    return states


def _release(release: Mapping[str, Any], language: str) -> str:
    since = str(release.get("live_at") or "?")[:16].replace("T", " ")
    key = "live" if release.get("url") else "live_no_url"
    return say(key, language, url=release.get("url"), since=since, starts=release.get("starts", "?"))


def _load(tasks: Rows, servers: Rows, language: str) -> str:
    counts = {status: sum(task.get("status") == status for task in tasks) for status in ("running", "queued")}
    named = ", ".join(f"{server.get('name')} ({server.get('status')})" for server in servers) or "–"
    return say("load", language, **counts, servers=named)


def _title(task: Mapping[str, Any]) -> str:
    return short(str(task.get("spec") or task.get("type") or ""))
