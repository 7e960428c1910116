import pytest

from tests import factories


@pytest.mark.service
@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [name for name in vars(factories) if name.startswith("make_") and name != "make_sha"],
)
def test_factory_makes_a_row_by_its_defaults_twice(name):
    make = getattr(factories, name)

    rows = [make(), make()]

    assert rows[0].pk != rows[1].pk
    assert all(row.reload().pk if hasattr(row, "reload") else row.pk for row in rows)
