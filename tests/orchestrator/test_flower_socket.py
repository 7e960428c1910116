"""Where Flower listens, however long the path of the state directory is."""

from pathlib import Path

import pytest

from orchestrator.installation import flower_socket
from orchestrator.stack.prepare import CommandFailed, prepare_socket

pytestmark = pytest.mark.unit


def test_flower_listens_below_the_state_directory() -> None:
    assert flower_socket(Path("/srv/var")) == Path("/srv/var/run/flower.sock")


def test_a_path_that_the_kernel_refuses_is_replaced_by_a_short_one_of_its_own() -> None:
    long = [Path("/srv") / (f"{number}" * 100) for number in range(2)]

    places = [flower_socket(path) for path in (*long, long[0])]

    assert all(len(str(place)) < 100 for place in places)
    assert places[0] != places[1]
    assert places[0] == places[2]


def test_the_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    path = prepare_socket(prepare_socket(tmp_path / "place" / "s"))

    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["link", "open"])
def test_somebody_else_s_directory_is_refused(tmp_path: Path, trap: str) -> None:
    (tmp_path / "theirs").mkdir()
    place = tmp_path / "place"
    if trap == "link":
        place.symlink_to(tmp_path / "theirs")
    else:
        place.mkdir()
        place.chmod(0o777)

    with pytest.raises(CommandFailed, match="not ours alone"):
        prepare_socket(place / "s")
