"""People who are gone and have left something outside the database."""

from django.db import models


class DepartedOwner(models.Model):
    """A person who was deleted and whose Product Owner's home has to follow; the row goes with the home."""

    owner_id = models.BigIntegerField(primary_key=True)
    left_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"person {self.owner_id}"
