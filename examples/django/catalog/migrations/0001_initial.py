"""The first table, and a book in it."""

from django.db import migrations, models


def first_book(apps, _schema_editor):
    apps.get_model("catalog", "Book").objects.create(title="The Hobbit")


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("title", models.CharField(max_length=200)),
            ],
        ),
        migrations.RunPython(first_book, migrations.RunPython.noop),
    ]
