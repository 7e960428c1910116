"""What an error page may show with DEBUG: where it broke, never what was sent or stored."""

from collections.abc import ItemsView
from types import FrameType
from typing import Any, Final

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter
from typing_extensions import override

_HIDDEN: Final = SafeExceptionReporterFilter.cleansed_substitute


class NoValues(SafeExceptionReporterFilter):
    """Hides the variables of every frame, and whatever was sent: a secret has no name that gives it away."""

    @override
    def get_traceback_frame_variables(
        self, request: HttpRequest | None, tb_frame: FrameType
    ) -> ItemsView[str, Any]:
        """Return the names of the variables."""
        return dict.fromkeys(tb_frame.f_locals, _HIDDEN).items()

    @override
    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        """Return the names of what was sent as a form."""
        return {} if request is None else dict.fromkeys(request.POST, _HIDDEN)
