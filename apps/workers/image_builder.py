"""``ImageBuilder``: which image a worker needs, whether it is here, and building it if it is not."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from django.conf import settings

from apps.workers import image_recipe
from apps.workers.image_recipe import HASH_LABEL, BuildStep, Recipe
from apps.workers.image_sources import Sources, archive, read_sources
from apps.workers.runtime.images import BuildRequest, ImageState, ImageStore

_SOURCES_CONTEXT: Final = "sources.tar"
_RECIPE_CONTEXT: Final = "recipe.tar"

OnLine = Callable[[str], None]


def compute_image_hash(capabilities: Iterable[str], agent_type: str, *, base_hash: str | None = None) -> str:
    """Return the 12 hex digits under which an image with this content is found again.

    Args:
        capabilities: in any order, in any case.
        agent_type: which agent.
        base_hash: identity of the base image; None takes that of this installation's sources, whatever the
            daemon has.

    Raises:
        UnknownCapability, UnknownAgent: there is none of that name.
        CertificateRefused: an extra certificate is not one.

    """
    if base_hash is None:
        base_hash = installed_sources().base_hash
    return image_recipe.image_hash(capabilities, agent_type=agent_type, base_hash=base_hash)


def installed_sources() -> Sources:
    """Return the sources of this installation's base image, as they are now.

    Raises:
        CertificateRefused: an extra certificate is not one.

    """
    return read_sources(settings.WORKERS_BASE_IMAGE, settings.WORKERS_EXTRA_CA_DIR)


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A recipe with the archives that its steps name."""

    recipe: Recipe
    archives: Mapping[str, bytes]

    def requests(self, *, no_cache: bool = False) -> list[BuildRequest]:
        """Return what the daemon is to be asked for, in this order."""
        return [
            BuildRequest(
                tag=step.tag,
                archive=self.archives[step.context],
                dockerfile=step.dockerfile,
                target=step.target,
                arguments=step.arguments,
                labels=step.labels,
                # A later stage stands on the one that was just built anew.
                no_cache=no_cache and step is self.recipe.steps[0],
            )
            for step in self.recipe.steps
        ]


class ImageBuilder:
    """Recipes of this installation's images.

    Args:
        store: where images are.
        prefix: first part of every tag; keeps tests and production apart.
        sources: returns what the base image is made of; asked once.
        arguments: build arguments of every step: mirrors and proxies.

    """

    def __init__(
        self,
        store: ImageStore,
        *,
        prefix: str,
        sources: Callable[[], Sources] = installed_sources,
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        self.store = store
        self.prefix = prefix
        self._read = sources
        self._arguments = dict(arguments or {})
        self._lock = threading.Lock()
        self._sources: Sources | None = None

    @property
    def sources(self) -> Sources:
        """What the base image is made of, as this process found it.

        A local base made anew under its old name, with another certificate say, is another base, which the
        next start finds. One that has still to be pulled is known by its name alone.

        Raises:
            CertificateRefused: an extra certificate is not one.
            RuntimeUnavailable: the daemon cannot be asked for the base image.

        """
        with self._lock:
            if self._sources is None:
                found = self._read()
                base = self.store.find(found.base_image)
                self._sources = replace(found, base_id=base.id if base else "")
            return self._sources

    @property
    def common_tag(self) -> str:
        """The tag of the layers that every image shares."""
        return f"{self.prefix}-common:{self.sources.common_hash}"

    @property
    def base_tag(self) -> str:
        """The tag of the base image."""
        return f"{self.prefix}-base:{self.sources.base_hash}"

    def base(self) -> Recipe:
        """Return the recipe of the base image.

        Raises:
            CertificateRefused: an extra certificate is not one.

        """
        arguments = {**self._arguments, "BASE_IMAGE": self.sources.base_image}
        step = BuildStep(
            tag=self.common_tag,
            context=_SOURCES_CONTEXT,
            dockerfile=image_recipe.BASE_DOCKERFILE,
            target="common",
            arguments=arguments,
            labels={HASH_LABEL: self.sources.common_hash},
        )
        own = {HASH_LABEL: self.sources.base_hash}
        return Recipe(
            hash=self.sources.base_hash,
            tag=self.base_tag,
            steps=(step, replace(step, tag=self.base_tag, target="base", labels=own)),
            dockerfile=self.sources.files[image_recipe.BASE_DOCKERFILE].decode(),
        )

    def recipe(self, agent_type: str, capabilities: Iterable[str] = ()) -> Recipe:
        """Return the recipe of an agent's image.

        Raises:
            UnknownCapability, UnknownAgent: there is none of that name.
            CertificateRefused: an extra certificate is not one.

        """
        names = image_recipe.normalize(capabilities)
        found = image_recipe.image_hash(names, agent_type=agent_type, base_hash=self.sources.base_hash)
        tag = f"{self.prefix}:{found}"
        step = BuildStep(
            tag=tag,
            context=_RECIPE_CONTEXT,
            dockerfile="Dockerfile",
            arguments=self._arguments,
            labels={HASH_LABEL: found},
        )
        return Recipe(
            hash=found,
            tag=tag,
            steps=(step,),
            agent_type=str(agent_type),
            capabilities=tuple(str(name) for name in names),
            dockerfile=image_recipe.dockerfile(
                names, agent_type=agent_type, common_tag=self.common_tag, base_tag=self.base_tag
            ),
            commands=image_recipe.commands_of(names, agent_type=agent_type),
        )

    def pack(self, recipe: Recipe) -> Packed:
        """Return a recipe with everything a daemon needs to follow it."""
        if recipe.agent_type:
            return Packed(
                recipe=recipe,
                archives={_RECIPE_CONTEXT: archive({"Dockerfile": recipe.dockerfile.encode()})},
            )
        return Packed(recipe=recipe, archives={_SOURCES_CONTEXT: self.sources.archive()})

    def find(self, recipe: Recipe) -> ImageState | None:
        """Look for the image of a recipe; this builds nothing.

        Raises:
            RuntimeUnavailable: nothing is known.

        """
        return self.store.find(recipe.tag)


def mirrors(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the build arguments that name package mirrors and proxies.

    Addresses with a password are left out: build arguments stay in an image's history.
    """
    names = ("PIP_INDEX_URL", "NPM_CONFIG_REGISTRY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    return {
        name: environment[name] for name in names if environment.get(name) and "@" not in environment[name]
    }
