"""The flows: one LangGraph run per task, driven by short Celery tasks."""
