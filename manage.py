#!/usr/bin/env python
"""Run Django's management commands."""

import importlib
import os
import sys

from django.core.management import execute_from_command_line

#: Commands that must work before there is a database to be configured for.
BEFORE_DJANGO = {"demo": "orchestrator.demo", "doctor": "orchestrator.doctor"}


def main() -> int:
    """Hand the command line to Django, or to a command that prepares what Django needs."""
    if len(sys.argv) > 1 and sys.argv[1] in BEFORE_DJANGO:
        return int(importlib.import_module(BEFORE_DJANGO[sys.argv[1]]).main(sys.argv[2:]))
    # A list of commands is wanted most where nothing is set yet.
    is_help = len(sys.argv) < 2 or sys.argv[1] in {"help", "--help", "-h"}
    settings = "orchestrator.settings.lint" if is_help else "orchestrator.settings.base"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    execute_from_command_line(sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
