"""What can be wrong with a template; always an operator's move, whoever asked for the project."""

from apps.errors import Invalid


class TemplateUnusable(Invalid):
    """No project can be made from the template as it is, or as the settings name it."""

    code = "template_unusable"


class TemplateFailed(TemplateUnusable):
    """The template could not be rendered."""

    code = "template_failed"
