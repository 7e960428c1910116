"""A process that dies at any call of a deployment at the git host starts it once all the same."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.projects import dispatching
from apps.projects.forge.hosting import RunStatus
from apps.projects.models import Dispatch, DispatchStatus
from apps.projects.tools import Tools
from tests.apps.projects.rig import Killed, KillSwitch, kills
from tests.apps.projects.test_dispatching import Site
from tests.factories import make_secret

pytestmark = [pytest.mark.service, pytest.mark.django_db]

#: What a deployment asks of its host from its first to its last step.
CALLS = ["list_secrets", "put_secrets", "dispatch", *["read_run"] * 3, "read_deployment"]
ADDRESS = "https://books.example"


def begin(place: Path) -> Site:
    site = Site(place)
    make_secret(project=site.project, key="SIGNING_KEY", value="sesame", digest="d")
    site.ask(secret_keys=("SIGNING_KEY",))
    return site


def step(site: Site, switch: KillSwitch) -> None:
    """Take a step at the time of the next look; the host ends the run once it was seen at work."""
    site.now += timedelta(seconds=61)
    tools = Tools(forge=site.git, hosting=site.git, scratch=Path("/nowhere"), now=lambda: site.now)
    before = site.row
    dispatching.reconcile_dispatch(dispatch_id=before.pk, tools=switch.wrap(tools))
    if before.status == DispatchStatus.RUNNING and site.row.status == DispatchStatus.RUNNING:
        site.git.host.finish_run(site.run_id, RunStatus.SUCCEEDED, url=ADDRESS)


def drive(site: Site, switch: KillSwitch) -> bool:
    """Step until the end; whoever comes after a death lives. Returns whether somebody died."""
    died = False
    for _ in range(20):
        if site.row.status in Dispatch.final_statuses():
            return died
        try:
            step(site, switch)
        except Killed:
            died, switch = True, KillSwitch()
    raise AssertionError(f"The dispatch is still {site.row.status}")


def test_the_calls_of_a_deployment_are_these(tmp_path: Path) -> None:
    switch = KillSwitch()

    drive(begin(tmp_path / "source.git"), switch)

    assert switch.calls == CALLS


@pytest.mark.parametrize(("at", "after"), kills(len(CALLS)))
def test_a_death_at_any_call_leaves_one_run_and_its_address(tmp_path: Path, at: int, after: Any) -> None:
    site = begin(tmp_path / "source.git")

    died = drive(site, KillSwitch(at=at, after=after))

    assert died
    assert (site.row.status, site.row.url) == (DispatchStatus.SUCCEEDED, ADDRESS)
    assert len(site.git.host.dispatched) == 1
    assert site.git.host.held().secrets["SIGNING_KEY"] == "sesame"


@pytest.mark.parametrize(("at", "after"), kills(2))
def test_a_death_while_it_is_canceled_still_proves_its_end(tmp_path: Path, at: int, after: Any) -> None:
    site = begin(tmp_path / "source.git")
    while site.row.status != DispatchStatus.RUNNING:
        step(site, KillSwitch())
    Dispatch.transition(site.row.pk, to=DispatchStatus.CANCELING)

    died = drive(site, KillSwitch(at=at, after=after))

    assert died
    assert site.row.status == DispatchStatus.CANCELED
    assert site.git.host.held().run(site.run_id).status is RunStatus.CANCELED
