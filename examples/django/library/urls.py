"""One page: the titles in the catalog."""

from catalog.models import Book
from django.http import HttpRequest, JsonResponse
from django.urls import path


def books(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"books": list(Book.objects.order_by("title").values_list("title", flat=True))})


urlpatterns = [path("", books)]
