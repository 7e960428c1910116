"""``python -m orchestrator.stack.database``: migrations, then the first administrator, in one process.

Two commands in one process, because importing the whole system is most of what either costs.
"""

import os

import django
from django.core.management import call_command


def main() -> None:
    """Bring the database up to date; prints the administrator's password if it made one."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings.base")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("ensure_admin")


if __name__ == "__main__":
    main()
