"""The live card in a terminal: what ``GET /api/tasks/{id}/card/`` says, drawn."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from worker_image.cli.output import plain

_MARKS = {"done": ("✓", "green"), "active": ("●", "yellow"), "failed": ("✗", "bold red")}
_ALARMING = frozenset({"stalled", "dead"})
_BORDERS = {"completed": "green", "failed": "red", "cancelled": "yellow"}


def draw(card: Mapping[str, Any]) -> RenderableType:
    """Return one frame of the card."""
    parts: list[RenderableType] = [_lines(card)]
    if card["failure"]:
        parts.append(_failure(card["failure"]))
    if card["url"]:
        parts.append(Text.assemble("\n  ", ("→ ", "green"), (plain(card["url"]), "bold underline")))
    if liveness := card.get("liveness"):
        parts.append(_liveness(liveness))
    parts.append(_footer(card))
    agent = f" · {card['agent']}" if card["agent"] else ""
    return Panel(
        Group(*parts),
        title=Text(f"{_shortened(card['title'], 70)}{plain(agent)}"),
        title_align="left",
        subtitle=Text(f"{card['status']} · {card['elapsed_seconds']:.1f} s"),
        subtitle_align="right",
        border_style=_BORDERS.get(card["status"], "cyan"),
        padding=(0, 1),
    )


def _lines(card: Mapping[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(ratio=1, overflow="fold")
    grid.add_column(justify="right", style="dim")
    for line in card["lines"]:
        mark, style = _MARKS.get(line["state"], ("·", ""))
        seconds = f"{line['seconds']:.1f} s" if line["seconds"] is not None else ""
        grid.add_row(Text(mark, style=style), Text(plain(line["text"])), Text(seconds))
    return grid


def _failure(failure: Mapping[str, Any]) -> RenderableType:
    head = plain(f"\n  {failure.get('code', 'failed')} ({failure.get('kind', '')})")
    return Group(Text(head, style="bold red"), Text(plain(f"  {failure.get('message', '')}")))


def _liveness(liveness: Mapping[str, Any]) -> RenderableType:
    style = "bold red" if liveness["verdict"] in _ALARMING else "dim"
    return Text(f"\n  {plain(liveness['text'])} · {liveness['seconds']:.0f} s", style=style)


def _footer(card: Mapping[str, Any]) -> Text:
    parts = [f"{name} {seconds:.1f} s" for name, seconds in card["accounting"].items()]
    if card.get("cost_usd") is not None:
        parts.append(f"${card['cost_usd']:.2f}")
    if card.get("tokens"):
        parts.append(f"{card['tokens']:,} tokens")
    return Text("\n" + " · ".join(parts), style="dim")


def _shortened(text: str, limit: int) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
