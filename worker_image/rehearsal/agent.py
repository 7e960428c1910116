"""One turn of the rehearsal agent: prompt in, commit and result block out."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker_image.rehearsal import checkout as git_checkout
from worker_image.rehearsal import misbehavior, notes, reading, sentences, texts, work
from worker_image.rehearsal.prompt import Prompt, parse
from worker_image.rehearsal.spec import Meaning, Refusal, RemoveFields

Say = Callable[[str, str, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the agent claims at the end."""

    status: str  # "success" or "failure"
    summary: str
    data: dict[str, Any]


def run(text: str, checkout: Path) -> int:
    """Do what a prompt says in a checkout, print progress and the result; returns the exit code."""
    prompt = parse(text)
    language = texts.language_of(prompt.task)
    say = _speaker(language)
    say(texts.say("reading", language), "read", 5)
    if not misbehavior.is_known(prompt.mode):
        summary = f"There is no mode {prompt.mode}"
        report(Outcome(status="failure", summary=summary, data={"reason": "mode_unknown"}), language)
        return 0
    exit_code = misbehavior.before_work(prompt.mode, say)
    if exit_code is not None:
        return exit_code
    try:
        outcome = _work(prompt, checkout, say, language)
    except Refusal as refusal:
        outcome = Outcome(status="failure", summary=refusal.message, data={"reason": refusal.reason})
    except (git_checkout.GitFailed, OSError) as error:
        outcome = Outcome(status="failure", summary=str(error), data={"reason": "checkout_unusable"})
    report(outcome, language)
    return 0


def _speaker(language: str) -> Say:
    """Return what prints one line of progress, with the agent's name in a language."""

    def say(message: str, step: str, pct: int) -> None:
        shown = f"{texts.say('label', language)}: {message}"
        _print(json.dumps({"type": "progress", "message": shown, "step": step, "pct": pct}))

    return say


def report(outcome: Outcome, language: str) -> None:
    """Print the result block; nothing in it can be taken for a tag."""
    data = {"agent": "rehearsal", **outcome.data}
    summary = f"{texts.say('label', language)}: {outcome.summary}"
    block = json.dumps({"status": outcome.status, "summary": summary, "data": data})
    _print("<result>" + block.replace("<", "\\u003c") + "</result>")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _work(prompt: Prompt, checkout: Path, say: Say, language: str) -> Outcome:
    if reading.lacks_backend(checkout):
        raise Refusal("backend_missing", "This project has no backend; resources are all that I can build")
    known = reading.list_resources(checkout)
    meaning = sentences.understand(prompt.task, known)
    say(texts.say("understood", language), "plan", 25)
    if not misbehavior.commits(prompt.mode):
        return Outcome(status="success", summary="Done as asked", data={})
    notes.keep(prompt.mode, checkout, say)
    change = _plan(prompt, checkout, meaning)
    if change is not None:
        files = git_checkout.write_files(checkout, work.files_of(change))
        say(texts.say("wrote", language, count=len(files)), "write", 60)
    misbehavior.before_commit(prompt.mode, checkout, has_evidence=prompt.evidence is not None)
    title = change.title if change else "Repair what the checks refused"
    commit = git_checkout.commit(checkout, f"{title}\n\nWritten by the rehearsal agent; no model was asked.")
    if commit is not None:
        say(texts.say("committed", language, sha=commit[:12]), "commit", 90)
    elif not misbehavior.claims_old_commit(prompt.mode, has_evidence=prompt.evidence is not None):
        raise Refusal("nothing_to_change", "The project has all of this already")
    done = _outcome(prompt, meaning, change, language)
    return Outcome(status=done.status, summary=misbehavior.summary(prompt.mode, done.summary), data=done.data)


def _plan(prompt: Prompt, checkout: Path, meaning: Meaning) -> work.Change | None:
    """Return what to write; None on rework when the code itself is as it should be already."""
    try:
        return work.plan(checkout, meaning)
    except Refusal as refusal:
        if prompt.evidence is None or refusal.reason != "nothing_to_change":
            raise
        return None


def _outcome(prompt: Prompt, meaning: Meaning, change: work.Change | None, language: str) -> Outcome:
    if change is None:
        return Outcome(status="success", summary="Repaired what the checks refused", data={})
    unread = () if isinstance(meaning, RemoveFields) else meaning.unread
    beyond = sentences.beyond(prompt.task)
    resource = change.resource
    listed = ", ".join(field.name for field in resource.fields)
    title = texts.say(change.verb, language, title=change.title, resource=resource.plural, fields=listed)
    parts = [texts.say("done", language, title=title, path=resource.path)]
    if beyond:
        parts.append(texts.say("not_built", language, things=texts.beyond(beyond, language)))
    if unread:
        parts.append(texts.say("unread", language, things=", ".join(unread)))
    data = {
        "resource": resource.plural,
        "path": resource.path,
        "change": change.verb,
        "fields": {field.name: field.kind.value for field in resource.fields},
        "not_built": list(beyond),
        "not_understood": list(unread),
    }
    return Outcome(status="success", summary=" ".join(parts), data=data)
