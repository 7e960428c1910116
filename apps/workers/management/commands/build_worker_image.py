"""``manage.py build_worker_image``: build the base image and those of the agents, in the foreground."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from typing_extensions import override

from apps.errors import OrchestratorError
from apps.workers import engine, images
from apps.workers.image_builder import ImageBuilder
from apps.workers.image_recipe import Recipe
from apps.workers.runtime import image_build
from worker_image.contract import AgentType, WorkerCapability

ALL = "all"
BASE = "base"


class Command(BaseCommand):
    """Builds what is missing; what is there costs nothing."""

    help = "Build the workers' base image and the images of the agents, or of one of them."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        agents = [ALL, BASE, *map(str, AgentType)]
        parser.add_argument("agent", nargs="*", default=[ALL], help=f"one of {', '.join(agents)}")
        parser.add_argument(
            "--capability",
            action="append",
            default=[],
            choices=list(map(str, WorkerCapability)),
            help="what the agents' images contain besides; may be repeated",
        )
        parser.add_argument("--no-cache", action="store_true", help="build again what is there")
        parser.add_argument("--quiet", action="store_true", help="print tags only")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            builder = engine.get_image_builder()
            recipes = _recipes(builder, options["agent"], options["capability"])
            for recipe in recipes:
                self._build(builder, recipe, no_cache=options["no_cache"], quiet=options["quiet"])
        except OrchestratorError as error:
            raise CommandError(_explain(error)) from error

    def _build(self, builder: ImageBuilder, recipe: Recipe, *, no_cache: bool, quiet: bool) -> None:
        began = time.monotonic()
        on_line = _ignore if quiet else self._print_line
        if not quiet:
            self.stdout.write(f"== {recipe.agent_type or BASE} ==")
        state = image_build.build_missing(
            builder.store,
            builder.pack(recipe).requests(no_cache=no_cache),
            locks=Path(settings.VAR_DIR) / "run" / "images",
            on_line=on_line,
        )
        try:
            images.request_image(recipe, builder)
        except DatabaseError:
            # Without a database there is nobody to tell; the row is made when a worker asks for the image.
            on_line("(not recorded: the database does not answer)")
        seconds = time.monotonic() - began
        size = f"{state.size_bytes / 1_000_000:.0f} MB"
        self.stdout.write(f"{recipe.agent_type or BASE:<10} {recipe.tag}  {size}  {seconds:.1f} s")

    def _print_line(self, line: str) -> None:
        self.stdout.write(f"   {line}")
        self.stdout.flush()


def _recipes(builder: ImageBuilder, names: list[str], capabilities: list[str]) -> list[Recipe]:
    """Return the base image and the agents' images that were named.

    Raises:
        UnknownAgent: one is not an agent.

    """
    agents = [name for name in names if name not in (ALL, BASE)]
    if ALL in names:
        agents = list(map(str, AgentType))
    return [builder.base(), *(builder.recipe(agent, capabilities) for agent in agents)]


def _explain(error: OrchestratorError) -> str:
    command = error.details.get("failed_command")
    return f"{error.message}\nThe command that failed: {command}" if command else error.message


def _ignore(_: str) -> None:
    """Say nothing."""
