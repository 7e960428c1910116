"""The port to whatever keeps images: what is there, what may go, and how one is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from apps.errors import Conflict, Invalid


class ImageInUse(Conflict):
    """A container, running or not, or another image was made from the image."""

    code = "image_in_use"


class ImageBuildFailed(Invalid):
    """The image cannot be built like this; ``details`` name the command that failed."""

    code = "image_build_failed"


class BaseImageMissing(ImageBuildFailed):
    """The image to build on is neither here nor can it be pulled."""

    code = "base_image_missing"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageState:
    """One image as it was observed."""

    id: str
    tags: tuple[str, ...]
    size_bytes: int  # with every layer, shared ones too
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """One image to build.

    Attributes:
        archive: the context as a tar archive.
        dockerfile: path inside it.
        arguments: build arguments; they become part of the image's history, so never a secret.
        silence_seconds: how long a command may write nothing.

    """

    tag: str
    archive: bytes
    dockerfile: str
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    silence_seconds: float = 900.0


class ImageStore(Protocol):
    """Images by their tag. Safe to call again after any failure."""

    def find(self, tag: str) -> ImageState | None:
        """Observe an image; None means that there is none of that tag.

        Raises:
            RuntimeUnavailable: nothing is known.

        """
        ...

    def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> ImageState:
        """Build an image and wait for it, telling every line of output.

        Raises:
            BaseImageMissing: the image to build on cannot be had.
            ImageBuildFailed: a command failed.
            RuntimeFull: there is no room for it.
            RuntimeUnavailable: nothing is known; ask again.

        """
        ...

    def list_owned(self) -> list[ImageState]:
        """Observe every image of this installation, those without a tag and without descendants included.

        Raises:
            RuntimeUnavailable: nothing is known, in particular not that there are none.

        """
        ...

    def remove(self, tag: str) -> None:
        """Remove a tag, and the image if that was its last; absent is success.

        An image without a tag goes by its id.

        Raises:
            ImageInUse: a container or another image was made from it.
            RuntimeUnavailable: nothing is known; ask again.

        """
        ...
