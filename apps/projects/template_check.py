"""Looks at the configured template as an operator would, without Django: for doctor and start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from apps.projects import templating
from apps.projects.forge.network import network_environment
from apps.projects.template_source import TemplateSource, configured_template

SETTINGS: Final = ("SCAFFOLD_TEMPLATE", "SCAFFOLD_TEMPLATE_REF", "SCAFFOLD_TEMPLATE_MAP")


def check_template(
    values: Mapping[str, str], *, var_dir: Path, outer: Mapping[str, str]
) -> TemplateSource | None:
    """Return the template that the settings name, None for ours; nothing is fetched.

    Args:
        values: the settings by their names.
        var_dir: the state directory.
        outer: the environment that names proxies and certificates.

    Raises:
        TemplateSourceInvalid, TemplateMappingInvalid: a setting is wrong.

    """
    location, ref, table = (values.get(name, "") for name in SETTINGS)
    source = configured_template(
        location=location, ref=ref, table=table, var_dir=var_dir, network=network_environment(outer)
    )
    if source is not None:
        source.check()
        source.mapping.check(templating.known_modules())
    return source


def examine_template(values: Mapping[str, str], *, var_dir: Path, outer: Mapping[str, str]) -> str:
    """Fetch the template; returns what new projects will be made from.

    Args:
        values: the settings by their names.
        var_dir: the state directory, below which it is kept.
        outer: the environment that names proxies and certificates.

    Raises:
        TemplateSourceInvalid, TemplateMappingInvalid: a setting is wrong.
        TemplateRefMissing, TemplateSourceUnavailable: see `TemplateSource.files`.

    """
    source = check_template(values, var_dir=var_dir, outer=outer)
    if source is None:
        return f"ours, version {templating.template_version()}"
    source.files()
    return f"{source.public_name}, version {source.version}"
