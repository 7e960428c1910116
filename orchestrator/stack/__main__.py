"""The command line of the stack: ``up``, ``down`` and ``status``."""

import argparse
import logging
import signal
import sys
import time

from orchestrator.embedded import ServerFailed
from orchestrator.stack import CommandFailed, Stack, StackFailed
from orchestrator.stack.greeting import bot_line
from orchestrator.stack.signals import StopAsked, stop_signals_raised


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    stack = Stack(without=options.without)
    try:
        if options.command == "up":
            with stop_signals_raised():
                _up(stack, adopt=options.adopt)
        elif options.command == "down":
            stack.down()
            print("stopped")
        else:
            return _print_status(stack)
    except (StackFailed, ServerFailed, CommandFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.stack", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status"))
    without = "do not run this process (may be repeated)"
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help=without)
    parser.add_argument("--adopt", action="store_true", help="take over a stack that was handed over")
    return parser


def _up(stack: Stack, *, adopt: bool) -> None:
    began = time.monotonic()
    try:
        stack.start(adopt=adopt)
        if stack.admin_notice:
            # Shown once, so at once: what follows may fail.
            print(stack.admin_notice.rstrip(), flush=True)
        stack.wait_ready()
        _announce(stack, seconds=time.monotonic() - began)
        signal.pause()
    except StopAsked:
        logging.info("stopping")
    finally:
        stack.stop()


def _announce(stack: Stack, *, seconds: float) -> None:
    print(f"ready after {seconds:.1f} s; Ctrl-C or `make down` stops it")
    print(f"  admin    {stack.web_url}/admin/")
    print(f"  API      {stack.web_url}/api/docs/")
    if stack.flower_url:
        print(f"  Flower   {stack.flower_url}  (signed in to the admin)")
    if bot := bot_line(stack.settings()):
        print(f"  bot      {bot}")
    if stack.runtime is not None:
        print(f"  workers  {stack.runtime.notice}")
    print(f"  logs     {stack.var_dir / 'run' / 'logs'}")
    sys.stdout.flush()


def _print_status(stack: Stack) -> int:
    status = stack.status()
    for name, pid in status.items():
        print(f"{name:10} {'stopped' if pid is None else f'pid {pid}'}")
    return 0 if status and all(status.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
