"""Pages of this app in the admin."""

from apps.workers.admin import images, operators, results, workers

__all__ = ["images", "operators", "results", "workers"]
