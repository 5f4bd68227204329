"""Who gets which devices."""

from service.allocation import Claim, share
from tests.service.fake_executor import slot
from tuner.records import CapacityChanged


def claim(accelerator: str = "auto", wanted: int = 1, kind: str | None = None) -> Claim:
    """What a job wants."""
    return Claim(accelerator=accelerator, device_kind=kind, wanted=wanted)


def slots(grants: list[CapacityChanged | None]) -> list[int | None]:
    """How many devices each job got."""
    return [grant.slots if grant else None for grant in grants]


CARDS = [slot(f"cuda:{index}", "cuda", "cuda:A") for index in range(3)]


def test_the_oldest_job_is_served_first() -> None:
    """It gets what it wants, the next one what is left, the last one nothing."""
    assert slots(share(CARDS, [claim(wanted=2), claim(wanted=2), claim()])) == [2, 1, 0]


def test_auto_prefers_a_card_and_waits_for_it() -> None:
    """A job is not sent to the processor because the cards are taken."""
    grants = share([slot(), CARDS[0]], [claim(), claim(), claim("cpu")])
    assert [grant and grant.accelerator for grant in grants] == ["cuda", "cuda", "cpu"]
    assert slots(grants) == [1, 0, 1]


def test_without_a_card_auto_means_the_processor() -> None:
    """Every machine has one device at least."""
    (grant,) = share([slot()], [claim()])
    assert grant == CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1)


def test_kinds_are_never_mixed() -> None:
    """A job gets the kind of which most are free, and only that."""
    other = slot("cuda:9", "cuda", "cuda:B")
    (grant,) = share([other, *CARDS], [claim(wanted=4)])
    assert grant == CapacityChanged(accelerator="cuda", device_kind="cuda:A", slots=3)


def test_a_job_stays_with_its_kind() -> None:
    """What was measured on one kind goes on there, or waits."""
    devices = [slot("cuda:9", "cuda", "cuda:B"), *CARDS]
    assert slots(share(devices, [claim(kind="cuda:B", wanted=2)])) == [1]
    assert slots(share(CARDS, [claim(kind="cuda:B")])) == [None]


def test_what_is_not_there_cannot_be_given() -> None:
    """A wish for an accelerator that nobody has is told apart from a busy one."""
    assert slots(share([slot()], [claim("cuda")])) == [None]
