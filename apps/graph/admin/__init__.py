"""Pages of runs and questions, and those that only this app can fill: of projects, tasks, deployments."""

from apps.graph.admin import deployments, projects, questions, runs, tasks

__all__ = ["deployments", "projects", "questions", "runs", "tasks"]
