"""Documents on the wire."""

from rest_framework import serializers

from apps.documents.models import Document
from apps.rest import StrictSerializer


class DocumentSerializer(serializers.ModelSerializer[Document]):
    """A document without its text; ``passage`` is what a search found in it, «the words» marked."""

    project_id = serializers.UUIDField(read_only=True)
    passage = serializers.CharField(read_only=True, default="")

    class Meta:
        model = Document
        fields = (
            "id",
            "project_id",
            "path",
            "title",
            "summary",
            "summary_kind",
            "passage",
            "updated_at",
        )
        read_only_fields = fields


class DocumentTextSerializer(DocumentSerializer):
    """A document with its text."""

    class Meta:
        model = Document
        fields = (*DocumentSerializer.Meta.fields, "text")
        read_only_fields = fields


class DocumentQuerySerializer(StrictSerializer):
    """How the list is narrowed."""

    search = serializers.CharField(
        required=False, max_length=200, help_text='Words, "a phrase", or, -without; the best match first.'
    )
    project_id = serializers.UUIDField(required=False)
    cursor = serializers.CharField(required=False)
    page_size = serializers.CharField(required=False)
