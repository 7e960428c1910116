"""The live card and its end in Telegram's HTML; pure: everything it shows is in the card."""

from typing import Final

from django.utils.translation import gettext as _

from apps.bot import presenters as words
from apps.graph.card import Card, Line, LineState

#: One message holds 4,096 UTF-16 units; the newest lines are the ones that matter.
MAX_LINES: Final = 24
_LINE_CHARACTERS: Final = 140
_MARKS: Final = {LineState.DONE: "✓", LineState.ACTIVE: "●", LineState.FAILED: "✕"}
_ENDS: Final = {"completed": "✅", "failed": "❌", "cancelled": "⏹"}
FINAL: Final = frozenset(_ENDS)
_SHORTEST_TOLD_SECONDS: Final = 1.0


def card(shown: Card, *, project: str) -> str:
    """Draw a card as one message.

    Args:
        shown: the card, in the language of the chat.
        project: name of its project.

    """
    head = f"{_ENDS.get(shown.status, '⏳')} {words.bold(project)}"
    asked = words.name(shown.title)
    parts = [head, f"<i>{asked}</i>"]
    if shown.agent:
        parts.append(words.name(shown.agent))
    hidden = len(shown.lines) - MAX_LINES
    if hidden > 0:
        parts.append(_("… %(count)s earlier lines") % {"count": hidden})
    parts += [_line(one) for one in shown.lines[-MAX_LINES:]]
    if shown.liveness and shown.status not in _ENDS:
        parts.append(words.name(shown.liveness.text))
    parts += _foot(shown)
    return words.lines(parts)


def final_text(shown: Card, *, project: str, is_mended: bool = False) -> str:
    """Say in one short message how it ended; a card that is edited makes no sound.

    Args:
        shown: the card of a task that is over.
        project: name of its project.
        is_mended: whether a task that mends the failure has been started already.

    """
    title = words.bold(project)
    if shown.status == "completed":
        done = _("Done: %(project)s") % {"project": title}
        return words.lines(f"✅ {done}", [words.link(shown.url)] if shown.url else [])
    if shown.status == "cancelled":
        return "⏹ " + _("Stopped: %(project)s") % {"project": title}
    failed = "❌ " + _("Failed: %(project)s") % {"project": title}
    if is_mended:
        mended = _("The cause is being mended; a new card shows how far it is.")
        return words.lines(failed, words.failure(shown.failure).partition("\n")[0], mended)
    return words.lines(failed, words.failure(shown.failure))


def _line(line: Line) -> str:
    mark = _MARKS.get(LineState(line.state), "·")
    told = words.name(line.text, _LINE_CHARACTERS)
    took = line.seconds is not None and line.seconds >= _SHORTEST_TOLD_SECONDS
    return f"{mark} {told}" + (f" · {words.duration(line.seconds or 0)}" if took else "")


def _foot(shown: Card) -> list[str]:
    parts = [words.link(shown.url)] if shown.url else []
    spent = [
        f"{_ACCOUNTS[part]()} {words.duration(seconds)}"
        for part, seconds in shown.accounting.items()
        if part in _ACCOUNTS and seconds >= 1
    ]
    if shown.cost_usd is not None:
        spent.append(f"${shown.cost_usd:.2f}")
    if shown.tokens:
        spent.append(_("%(count)s tokens") % {"count": f"{shown.tokens:,}"})
    elapsed = _("%(elapsed)s in all") % {"elapsed": words.duration(shown.elapsed_seconds)}
    return [*parts, " · ".join([elapsed, *spent])]


_ACCOUNTS: Final = {
    "agent": lambda: _("agent"),
    "installation": lambda: _("installation"),
    "checks": lambda: _("checks"),
    "smoke": lambda: _("smoke test"),
}
