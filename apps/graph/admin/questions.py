"""Pages of questions, and the form that answers one: on its own page and on its task's."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from typing_extensions import override
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from apps import admin_display as display
from apps.admin_base import HistoryAdmin, shown
from apps.errors import Invalid
from apps.graph import services
from apps.graph.models import Question, QuestionStatus

#: On a page that is not about one question; whoever answers one sees the next.
MAX_FORMS: Final = 5


class AnswerForm(forms.Form):
    """What a person says: one of the options, or words; a secret is not shown while it is typed."""

    text = forms.CharField(label=_("Answer"), strip=False, max_length=100_000)

    def __init__(self, question: Question, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data, auto_id=f"answer-{question.pk}-%s")
        self.question = question
        field = self.fields["text"]
        if question.secret_key:
            field.widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"})
        elif not question.options:
            field.widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})

    @property
    def words(self) -> str:
        """The question in the reader's language, so far as it was put so."""
        language = (get_language() or "en").partition("-")[0]
        return str(self.question.texts.get(language) or self.question.text)

    @property
    def address(self) -> str:
        """Where the answer goes."""
        return reverse("admin:graph_question_answer", args=[self.question.pk])


def forms_of(questions: Iterable[Question]) -> list[AnswerForm]:
    """Return an empty form for every question that is open."""
    return [AnswerForm(question) for question in questions if question.status == QuestionStatus.OPEN]


@admin.register(Question)
class QuestionAdmin(HistoryAdmin):
    """Questions: what only a person can tell."""

    list_display = ("shown_text", "shown_status", "shown_run", "deadline_at", "created_at", "answered_at")
    list_filter = ("status", "created_at")
    search_fields = ("id__startswith", "run__id__startswith", "text", "secret_key")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    change_form_outer_before_template = "orchestrator/admin/questions.html"
    fieldsets = (
        (None, {"fields": (("status_label", "shown_run", "secret_key"), "text", "options", "answer")}),
        (_("Times"), {"fields": (("created_at", "deadline_at", "answered_at"),)}),
    )

    @override
    def get_urls(self) -> list[URLPattern]:
        """Add the answer before the pages of single rows."""
        view = self.admin_site.admin_view(self.answer_view)
        return [path("<uuid:object_id>/answer/", view, name="graph_question_answer"), *super().get_urls()]

    @override
    def details(self, row: Question) -> dict[str, Any]:
        """Offer the form as long as the question is open."""
        return {**super().details(row), "answer_forms": forms_of([row])}

    def answer_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Answer a question and go back to the page on which it was read."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied

        def act(question: Question) -> str | None:
            form = AnswerForm(question, request.POST)
            if not form.is_valid():
                raise Invalid("The answer is empty or too long.")
            text = form.cleaned_data["text"].replace("\r\n", "\n")
            services.answer_question(question_id=question.pk, text=text)
            return _page_before(request)

        return self.operate(request, str(object_id), act=act, done=_("The question was answered."))

    @shown(_("Question"))
    def shown_text(self, question: Question) -> str:
        """Show the beginning of the question."""
        return display.beginning(question.text)

    @shown(_("Run"))
    def shown_run(self, question: Question) -> str:
        """Link to the run that waits for the answer."""
        return display.link("graph_run", question.run_id) if question.run_id else display.NOTHING


def _page_before(request: HttpRequest) -> str | None:
    """Return where somebody came from, if that is a page of ours."""
    page = str(request.POST.get("next", ""))
    return (
        page if page.startswith("/") and url_has_allowed_host_and_scheme(page, allowed_hosts=None) else None
    )
