"""Pages of runs, questions and tasks in the admin."""

from apps.graph.admin import deployments, questions, runs, tasks

__all__ = ["deployments", "questions", "runs", "tasks"]
