"""Looks at the configured template as an operator would: for ``manage.py doctor``, without Django."""

from collections.abc import Mapping
from pathlib import Path

from apps.projects import templating
from apps.projects.forge.github.remote import network_environment
from apps.projects.template_source import configured_template


def examine_template(values: Mapping[str, str], *, var_dir: Path, outer: Mapping[str, str]) -> str:
    """Fetch the template and check its table; returns what new projects will be made from.

    Args:
        values: the settings by their names.
        var_dir: the state directory.
        outer: the environment that names proxies and certificates.

    Raises:
        TemplateSourceInvalid, TemplateMappingInvalid: a setting is wrong.
        TemplateRefMissing, TemplateSourceUnavailable: see `TemplateSource.files`.

    """
    source = configured_template(
        location=values.get("SCAFFOLD_TEMPLATE", ""),
        ref=values.get("SCAFFOLD_TEMPLATE_REF", ""),
        table=values.get("SCAFFOLD_TEMPLATE_MAP", ""),
        var_dir=var_dir,
        network=network_environment(outer),
    )
    if source is None:
        return f"ours, version {templating.template_version()}"
    source.mapping.check(templating.known_modules())
    source.files()
    return f"{source.public_name}, version {source.version}"
