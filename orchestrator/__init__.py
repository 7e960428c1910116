"""The composition root: settings, Celery, URLs, and the embedded stack."""
