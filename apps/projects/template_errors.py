"""What a template can do wrong."""

from apps.errors import Invalid


class TemplateFailed(Invalid):
    """The template could not be rendered."""

    code = "template_failed"
