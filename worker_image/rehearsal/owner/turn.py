"""One turn of the rehearsal Product Owner: a message in, commands run, an answer out."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from worker_image.rehearsal import misbehavior, sentences
from worker_image.rehearsal.owner import memory, reporting, wishes
from worker_image.rehearsal.owner.hands import Command, CommandRefused, Hands
from worker_image.rehearsal.owner.memory import Open
from worker_image.rehearsal.owner.texts import say, short
from worker_image.rehearsal.owner.wishes import Intent, Said
from worker_image.rehearsal.texts import beyond as beyond_in

LABEL: Final = "rehearsal Product Owner (no model)"
_MOST_TRIES: Final = 3
_MOST_OPTIONS: Final = 8
_OPTION_CHARACTERS: Final = 100
_RUNNING: Final = ("running", "queued")


def run(prompt: str, home: Path, hands: Hands | None = None) -> int:
    """Answer a message; returns the exit code.

    Args:
        prompt: what the person wrote.
        home: where what is open is remembered.
        hands: what runs the commands.

    """
    said = wishes.read(prompt)
    progress("Reading the message", "read", 5)
    if not misbehavior.is_known(said.mode):
        report("failure", f"There is no mode {said.mode}")
        return 0
    exit_code = misbehavior.before_work(said.mode, progress)
    if exit_code is not None:
        return exit_code
    owner = _Owner(hands or Command(), home, said)
    text = f"{owner.answer()}\n({say('label', owner.language)})"
    owner.respond(text)
    report("success", text)
    return 0


def progress(message: str, step: str, pct: int) -> None:
    """Print one line of progress."""
    _print(json.dumps({"type": "progress", "message": f"{LABEL}: {message}", "step": step, "pct": pct}))


def report(status: str, text: str) -> None:
    """Print the result block; nothing in it can be taken for a tag."""
    data = {"agent": "rehearsal", "text": text}
    block = json.dumps({"status": status, "summary": short(text, 200), "data": data})
    _print("<result>" + block.replace("<", "\\u003c") + "</result>")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class _Owner:
    """A turn under way."""

    def __init__(self, hands: Hands, home: Path, said: Said) -> None:
        self._hands = hands
        self._home = home
        self._said = said
        self._open = memory.load(home)
        is_answer = self._open is not None and (said.is_answer or said.intent is Intent.OTHER)
        # An answer such as a project's name says nothing about the language that is spoken.
        spoken = said.language or memory.chat_language(home)
        self.language = self._open.language if is_answer and self._open else spoken
        self._is_answer = is_answer
        self._unasked = ""

    def answer(self) -> str:
        """Do what the message says; returns what to tell the person."""
        try:
            text = self._act()
        except CommandRefused as error:
            text = self._say("refused", message=error.message)
        if self._unasked:
            text += "\n" + self._unasked
        if self._said.lost:
            text += "\n" + self._say("lost_files", names=", ".join(self._said.lost))
        return text

    def respond(self, text: str) -> None:
        """Tell the person at once; the result says the same, should this be refused."""
        try:
            self._hands.run("respond", "--message", text)
        except CommandRefused as error:
            progress(f"The answer could not be sent ahead: {error.message}", "respond", 95)

    def _act(self) -> str:
        said = self._said
        if self._is_answer and self._open is not None:
            return self._go_on(self._open, said.text)
        match said.intent:
            case Intent.BUILD:
                return self._build(wishes.thing_of(said.text))
            case Intent.CHANGE:
                return self._change(said.text)
            case Intent.STATUS:
                return reporting.report(self._hands, self.language)
            case Intent.STOP:
                return self._stop(said.text)
            case Intent.OTHER:
                is_wish = wishes.is_understood(said.text)
                return self._build(said.text) if is_wish else self._say("help")

    def _go_on(self, matter: Open, answer: str) -> str:
        """Take up what was open, now that there is an answer."""
        matter = replace(matter, files=(*matter.files, *self._said.files))
        if matter.kind == "build":
            spec = wishes.completed(matter.text, answer)
            if spec is not None:
                return self._begin(spec, matter.files)
            return self._ask_thing(matter.text, matter.files, tries=matter.tries + 1)
        chosen = matter.options.get(answer) or next(
            (row_id for option, row_id in matter.options.items() if answer.lower() in option.lower()), None
        )
        if chosen is None:
            memory.keep(self._home, matter)
            self._ask("which_task" if matter.kind == "stop" else "which", list(matter.options))
            return self._say("asked_which")
        if matter.kind == "stop":
            return self._cancel(chosen, answer)
        project = self._hands.run("project", "get", chosen)
        return self._begin_change(project, matter.text, matter.files)

    def _build(self, wish: str) -> str:
        memory.forget(self._home)
        if not wishes.is_understood(wish):
            return self._ask_thing(wish, self._said.files)
        return self._begin(wish, self._said.files)

    def _ask_thing(self, wish: str, files: tuple[str, ...], *, tries: int = 0) -> str:
        if tries >= _MOST_TRIES:
            memory.forget(self._home)
            return self._say("gave_up")
        memory.keep(
            self._home, Open(kind="build", text=wish, language=self.language, files=files, tries=tries)
        )
        self._ask("ask_again" if tries else "ask_thing")
        return self._say("asked", wish=short(wish))

    def _begin(self, spec: str, files: tuple[str, ...]) -> str:
        modules = wishes.modules_of(spec if self._open is None else f"{self._open.text} {spec}")
        project = self._unbegun(spec)
        key = "adopted" if project else "begun"
        if project is None:
            progress("Creating the project", "project", 30)
            project = self._hands.run(
                *("project", "create", "--name", self._name(spec), "--description", spec),
                *("--modules", ",".join(modules)),
            )
        self._start(project["id"], spec, files)
        told = [self._say(key, name=project["name"], modules=", ".join(modules), spec=short(spec, 300))]
        if "telegram" in modules:
            told.append(self._say("token_later"))
        if beyond := [thing for thing in sentences.beyond(spec) if thing != "a bot"]:
            told.append(self._say("not_built", things=beyond_in(beyond, self.language)))
        return " ".join(told)

    def _name(self, spec: str) -> str:
        return wishes.name_of(self._open.text if self._open and len(self._open.text) > 5 else spec)

    def _unbegun(self, spec: str) -> dict[str, Any] | None:
        """Return a project that was created for these very words and never worked on: its turn broke off."""
        same = [row for row in self._projects() if row.get("description") == spec]
        return next((row for row in same if not self._hands.run("project", "tasks", row["id"])), None)

    def _change(self, text: str) -> str:
        memory.forget(self._home)
        projects = self._projects()
        if not projects:
            return self._say("no_projects")
        found = wishes.candidates(text, projects)
        if len(found) == 1:
            return self._begin_change(dict(found[0]), text, self._said.files)
        options = {_option(str(row["name"]), row): str(row["id"]) for row in found[:_MOST_OPTIONS]}
        self._remember("change", text, options)
        self._ask("which", list(options))
        return self._say("asked_which")

    def _begin_change(self, project: dict[str, Any], text: str, files: tuple[str, ...]) -> str:
        named = {word: str(project.get(word, "")) for word in ("name", "description")}
        spec = wishes.change_for(text, **named)
        if spec is None:
            memory.forget(self._home)
            return self._say("change_unread", name=project["name"])
        self._start(project["id"], spec, files)
        return self._say("change_begun", name=project["name"], spec=short(spec, 300))

    def _stop(self, text: str) -> str:
        rows = [row for row in self._hands.run("task", "list", "--limit", "50") if row["status"] in _RUNNING]
        memory.forget(self._home)
        if not rows:
            return self._say("nothing_runs" if self._open is None else "forgotten")
        found = wishes.candidates(text, [{**row, "name": row.get("spec")} for row in rows])
        if len(found) == 1:
            return self._cancel(str(found[0]["id"]), str(found[0].get("spec") or found[0]["type"]))
        options = {
            _option(str(row.get("spec") or row["type"]), row): str(row["id"]) for row in found[:_MOST_OPTIONS]
        }
        self._remember("stop", text, options)
        self._ask("which_task", list(options))
        return self._say("asked_which")

    def _cancel(self, task_id: str, title: str) -> str:
        self._hands.run("task", "cancel", task_id)
        memory.forget(self._home)
        return self._say("stopping", task=short(title))

    def _start(self, project_id: str, spec: str, files: tuple[str, ...]) -> None:
        progress("Starting the work", "task", 70)
        attached = [word for file in files for word in ("--attach", file)]
        self._hands.run(
            "engineering", "start", "--project", str(project_id), "--spec", spec, "--deploy", *attached
        )
        memory.forget(self._home)

    def _projects(self) -> list[dict[str, Any]]:
        return [row for row in self._hands.run("project", "list") if row.get("status") != "archived"]

    def _remember(self, kind: str, text: str, options: dict[str, str]) -> None:
        matter = Open(kind=kind, text=text, language=self.language, files=self._said.files, options=options)
        memory.keep(self._home, matter)

    def _ask(self, key: str, options: Sequence[str] = ()) -> None:
        question = self._say(key)
        words = [word for option in options for word in ("--option", option)]
        try:
            self._hands.run("ask", "--text", question, *words)
        except CommandRefused:
            # Then it is part of the answer: the person can write back all the same.
            self._unasked = "\n".join([question, *options])

    def _say(self, key: str, **values: Any) -> str:
        return say(key, self.language, **values)


def _option(name: str, row: Mapping[str, Any]) -> str:
    """Return what a person chooses by: a name, and of its id enough to tell two of them apart."""
    return f"{short(name, _OPTION_CHARACTERS - 12)} ({str(row['id'])[:8]})"
