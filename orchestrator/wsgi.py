"""WSGI entry point for hosts that want one; event streams need ASGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings.base")

application = get_wsgi_application()
