"""Secrets of callbacks: one for each owner, the same each time, the master unreadable to others."""

import base64
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from service import callback_secret
from service.callback_secret import FILE_NAME, BrokenMaster, secret_of
from service.settings import Settings


def test_a_secret_is_the_same_each_time(settings: Settings) -> None:
    """It is derived again, not stored, and has the shape that Standard Webhooks names."""
    secret = secret_of(settings, "ak_1")
    assert secret == secret_of(settings, "ak_1")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def test_owners_and_deployments_have_secrets_of_their_own(settings: Settings) -> None:
    """Nobody can sign for another one."""
    elsewhere = settings.model_copy(update={"data_dir": settings.data_dir / "other"})
    found = {secret_of(where, owner) for where in (settings, elsewhere) for owner in (None, "ak_1")}
    assert len(found) == 4


def test_only_its_owner_may_read_the_master(settings: Settings) -> None:
    """The file is private from its first moment, and no draft of it is left."""
    secret_of(settings, None)
    file = settings.data_dir / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(settings.data_dir.glob("*.new"))


def test_the_master_is_made_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many who all find none at the same moment get the same."""
    missed = threading.Barrier(8)
    real = callback_secret.hold

    def together(file: Path) -> AbstractContextManager[None]:
        missed.wait(30)
        return real(file)

    monkeypatch.setattr(callback_secret, "hold", together)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret_of(settings, None), range(8)))
    assert found == {secret_of(settings, None)}


def test_a_broken_master_is_told(settings: Settings) -> None:
    """A file that was cut off is never used nor replaced, and the message has the way out."""
    secret_of(settings, None)
    file = settings.data_dir / FILE_NAME
    file.write_bytes(b"short")
    with pytest.raises(BrokenMaster, match="put it back from a copy"):
        secret_of(settings, None)
    assert file.read_bytes() == b"short"
