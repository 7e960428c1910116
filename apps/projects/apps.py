"""Django's configuration of this app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """Names the app."""

    name = "apps.projects"
    label = "projects"
    verbose_name = "Projects"
