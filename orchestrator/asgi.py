"""The web process (uvicorn): REST, admin, event streams."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings.base")

application = get_asgi_application()
