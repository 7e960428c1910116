"""Pages of runs, questions and tasks in the admin."""

from apps.graph.admin import deployments, runs, tasks

__all__ = ["deployments", "runs", "tasks"]
