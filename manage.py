#!/usr/bin/env python
"""Run Django's management commands."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Hand the command line to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings.base")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
