"""Pages of runs, questions and tasks in the admin."""

from apps.graph.admin import runs, tasks

__all__ = ["runs", "tasks"]
