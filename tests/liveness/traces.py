"""A trace: what was known of one worker every few seconds, and what was true of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from apps.workers.liveness import Evidence
from apps.workers.runtime.base import Phase as ContainerPhase
from worker_image.contract import AgentSigns, Phase

DIRECTORY = Path(__file__).parents[1] / "data" / "liveness"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """One recording.

    Attributes:
        agent: which real program ran.
        program: its version.
        story: what was done to it.
        label: what is true of it from ``since`` to the end.
        since: second of the recording in which that became true.
        looks: second of the recording → what the control plane knew.

    """

    name: str
    agent: str
    program: str
    story: str
    label: str
    since: float
    looks: tuple[tuple[float, Evidence], ...]


def load_all() -> list[Trace]:
    """Return every recording, in the order of their names."""
    return [_load(path) for path in sorted(DIRECTORY.glob("*.json"))]


def save(trace: Trace, directory: Path = DIRECTORY) -> None:
    """Write a recording, one look a line and without what is as usual."""
    head = {name: getattr(trace, name) for name in ("agent", "program", "story", "label", "since")}
    looks = [json.dumps([at, _as_json(evidence)]) for at, evidence in trace.looks]
    text = json.dumps(head)[:-1] + ',\n"looks": [\n' + ",\n".join(looks) + "\n]}\n"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{trace.name}.json").write_text(text)


def _load(path: Path) -> Trace:
    record = json.loads(path.read_text())
    looks = tuple((at, _evidence(words)) for at, words in record.pop("looks"))
    return Trace(name=path.stem, looks=looks, **record)


def _as_json(evidence: Evidence) -> dict[str, Any]:
    usual = {item.name: item.default for item in fields(Evidence)}
    words = {name: getattr(evidence, name) for name in usual}
    changed = {name: value for name, value in words.items() if value != usual[name]}
    if evidence.signs is not None:
        changed["signs"] = evidence.signs.model_dump(mode="json", exclude_defaults=True)
    return changed


def _evidence(words: Mapping[str, Any]) -> Evidence:
    known = dict(words)
    if "signs" in known:
        known["signs"] = AgentSigns.model_validate(known["signs"])
    if "container" in known:
        known["container"] = ContainerPhase(known["container"])
    if "phase" in known:
        known["phase"] = Phase(known["phase"])
    return Evidence(**known)
