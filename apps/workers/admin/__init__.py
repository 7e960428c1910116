"""Pages of this app in the admin."""

from apps.workers.admin import operators, results, workers

__all__ = ["operators", "results", "workers"]
