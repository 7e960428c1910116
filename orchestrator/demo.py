"""``manage.py demo``: the whole job on one sentence, through the real control plane, with its live card."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live

from orchestrator.embedded import ServerFailed
from orchestrator.env import ROOT
from orchestrator.stack import CommandFailed, Stack, StackFailed
from orchestrator.stack.prepare import run_module
from orchestrator.stack.signals import StopAsked, stop_signals_raised
from worker_image.cli.api import Api, ApiError
from worker_image.cli.card_view import draw
from worker_image.cli.credentials import Credentials
from worker_image.cli.run_commands import follow, name_from
from worker_image.cli.task_commands import begin

DEFAULT_DESCRIPTION = "an inventory of books with title, author and year"
PERSON = "demo"
_READY_SECONDS = 120.0


def main(arguments: list[str], make_stack: Callable[..., Stack] = Stack) -> int:
    """Run the demo; the exit code is 0 only if a URL answered.

    Args:
        arguments: the words of the command line.
        make_stack: makes the stack, from the names of the processes it shall run ``without``.
    """
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    description = " ".join(options.description) or DEFAULT_DESCRIPTION
    try:
        with stop_signals_raised():
            stack = make_stack(without=() if options.keep else ("flower",))
            with _started(console, stack, keep=options.keep) as api:
                return _run(console, api, description, language=options.language)
    except StopAsked as asked:
        console.print("Stopped.")
        return asked.exit_code
    except (StackFailed, ServerFailed, CommandFailed, ApiError, OSError) as error:
        console.print(f"The demo could not go on: {error}", style="bold red", markup=False)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py demo", description=__doc__)
    parser.add_argument("description", nargs="*", help="what to build, in plain words")
    parser.add_argument("--keep", action="store_true", help="leave the stack and the service running")
    parser.add_argument("--language", default=os.environ.get("LANG", "en")[:2], help="en or ru")
    return parser


@contextmanager
def _started(console: Console, stack: Stack, *, keep: bool) -> Iterator[Api]:
    """Yield the API of a running stack: the one that runs already, or ours that ends with us."""
    began = time.monotonic()
    is_ours = _start(console, stack)
    handed_over = False
    try:
        if is_ours:
            stack.wait_ready(_READY_SECONDS)
            seconds = time.monotonic() - began
            console.print(
                f"PostgreSQL, broker, channel, web, Celery and beat are up ({seconds:.1f} s): {stack.web_url}"
            )
            if stack.runtime is not None:
                console.print(stack.runtime.notice, markup=False)
        token = run_module("manage", "personal_token", PERSON, env=stack.child_env(), root=ROOT).strip()
        yield Api(Credentials(url=stack.web_url, token=token))
        if is_ours and keep:
            stack.hand_over()
            handed_over = True
            console.print(f"Left running. Admin: {stack.web_url}/admin/ · stop everything: make down")
            if stack.admin_notice:
                # Shown once: the operator was made by this start.
                console.print(stack.admin_notice.rstrip(), markup=False)
    finally:
        if is_ours and not handed_over:
            console.print("Stopping the stack and the service (KEEP=1 leaves them running).")
            stack.stop()


def _start(console: Console, stack: Stack) -> bool:
    """Start the stack and return True, or False if another process runs it; a failed start leaves nothing."""
    try:
        stack.start()
    except BaseException as failure:
        _stop_what_started(console, stack)
        if not isinstance(failure, StackFailed) or not _answers(stack.web_url):
            raise
        console.print(f"Using the stack that runs at {stack.web_url}.")
        return False
    return True


def _stop_what_started(console: Console, stack: Stack) -> None:
    """Stop the servers of a start that failed; they are detached and would outlive us."""
    try:
        stack.stop()
    except (ServerFailed, CommandFailed) as error:
        # The reason for all of it is the failed start, which is reported after this.
        console.print(f"Not everything could be stopped, `make down` tries again: {error}", markup=False)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _run(console: Console, api: Api, description: str, *, language: str) -> int:
    api.speak(language)
    body = {"name": name_from(description), "description": description, "modules": ["backend"]}
    project = api.post("/api/projects/", body, create=True)
    task = begin(api, project_id=project["id"], type="engineering", spec=description, deploy_after=True)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            card = follow(api, task["id"], lambda frame: live.update(draw(frame), refresh=True))
    else:
        card = follow(api, task["id"], line_printer(console))
        console.print(draw(card))
    if card["status"] != "completed" or not card["url"]:
        return 1
    return _show_service(console, card["url"])


def line_printer(console: Console) -> Callable[[dict[str, Any]], None]:
    """Return what prints the lines of a card that were not printed before, for output that is no terminal."""
    shown: set[tuple[int, str]] = set()

    def show(card: dict[str, Any]) -> None:
        for line in card["lines"]:
            # A line that lasts may come to say something else, such as what a worker waits for.
            if (said := (line["event_id"], line["text"])) not in shown:
                shown.add(said)
                console.print(f"  {line['text']}", markup=False)

    return show


def _show_service(console: Console, url: str) -> int:
    """Ask the service what it offers, from outside, as a stranger would."""
    try:
        answer = httpx.get(f"{url}openapi.json", timeout=10, trust_env=False)
        paths = sorted(answer.json()["paths"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        console.print(f"{url} does not describe itself: {error}", style="red", markup=False)
        return 1
    console.print(f"It answers: {url} · its routes: {', '.join(paths)} · try them at {url}docs", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
