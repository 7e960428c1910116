"""What is typed in, and must not stand on a command line: other people of the machine see those."""

import sys

import typer


def read_unseen(prompt: str) -> str:
    """Return what a person types without its being shown, or all of standard input.

    Args:
        prompt: what to ask a person for.
    """
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True))
    # Of the line breaks at the end, one is the shell's: `echo VALUE | orchestrator ...`.
    return sys.stdin.read().removesuffix("\n")


def read_seen(prompt: str) -> str:
    """Return what a person types, or the first line of standard input.

    Args:
        prompt: what to ask a person for.
    """
    if sys.stdin.isatty():
        return str(typer.prompt(prompt))
    return sys.stdin.readline().rstrip("\n")
