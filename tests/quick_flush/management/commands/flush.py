"""`flush` as tests need it: it keeps what no test changes, and makes again only what we make.

Django's own empties the tables of content types and permissions too, then asks every app to fill them again:
most of a second for each test that commits.
"""

from typing import Any

from django.apps import apps
from django.core.management.color import no_style
from django.core.management.commands import flush
from django.db import connections
from django.db.models.signals import post_migrate

KEPT = {"django_content_type", "auth_permission"}
#: Those with rows that a new database has; see `post_migrate.connect` in the sources.
MADE_AGAIN = ("django_celery_beat", "graph", "infra")


class Command(flush.Command):
    """Takes the place of Django's command where this app is installed."""

    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        statements = connection.ops.sql_flush(no_style(), [name for name in names if name not in KEPT])
        connection.ops.execute_sql_flush(statements)
        for label in MADE_AGAIN:
            sender = apps.get_app_config(label)
            post_migrate.send(
                sender=sender, app_config=sender, verbosity=0, interactive=False, using=connection.alias
            )
