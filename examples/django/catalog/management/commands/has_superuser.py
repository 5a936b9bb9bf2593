"""`manage.py has_superuser`: exit 0 if there is one, else 1."""

import sys

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Exit 0 if a superuser exists, else 1."

    def handle(self, **_options: object) -> None:
        sys.exit(not User.objects.filter(is_superuser=True).exists())
