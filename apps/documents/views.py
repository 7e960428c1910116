"""REST: the documents of projects, and the search in them."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.documents.models import Document
from apps.documents.selectors import Search
from apps.documents.serializers import DocumentQuerySerializer, DocumentSerializer, DocumentTextSerializer
from apps.projects.models import Project
from apps.rest import owned

#: A search returns so many, on one page: nobody reads further, one narrows the words.
MAX_FOUND = 50


class DocumentViewSet(GenericViewSet[Document]):
    """What projects say of themselves, as of the last commit that was read."""

    queryset = Document.objects.all()
    serializer_class = DocumentSerializer
    commands: ClassVar = {"list": "project.documents", "retrieve": "project.documents"}

    def get_queryset(self) -> QuerySet[Document]:
        """Return the documents of the projects the requester may see."""
        rows = owned(self.request, super().get_queryset(), by="project__owner_id")
        project_id = self.kwargs.get("project_id")
        if project_id is None:
            return rows
        # A project the requester may not see does not exist for them.
        project = get_object_or_404(owned(self.request, Project.objects.all(), by="owner_id"), pk=project_id)
        return rows.filter(project=project)

    @extend_schema(parameters=[DocumentQuerySerializer])
    def list(self, request: Request, **_: Any) -> Response:
        """List documents, newest first; with ``search`` the best matches first, on one page."""
        query = DocumentQuerySerializer(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        rows = self.get_queryset()
        if (project_id := query.validated_data.get("project_id")) is not None:
            rows = rows.filter(project_id=project_id)
        if (words := query.validated_data.get("search")) is not None:
            found = self.get_serializer(Search(words=words).of(rows)[:MAX_FOUND], many=True)
            return Response({"next": None, "previous": None, "results": found.data})
        page = self.paginate_queryset(rows.defer("text"))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(responses=DocumentTextSerializer)
    def retrieve(self, _request: Request, **_: Any) -> Response:
        """Return a document with its text."""
        return Response(DocumentTextSerializer(self.get_object()).data)
