"""What an operator can set, and what is refused."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, default_data_dir


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field is a variable; lists are written as a shell writes them."""
    monkeypatch.setenv("BATCHSCOUT_PORT", "9000")
    monkeypatch.setenv("BATCHSCOUT_FILE_ROOTS", os.pathsep.join(["/data", "/more"]))
    monkeypatch.setenv("BATCHSCOUT_ENTRYPOINT_PREFIXES", "lab, mine.models")
    settings = Settings()
    assert settings.port == 9000
    assert settings.file_roots == (Path("/data"), Path("/more"))
    assert settings.entrypoint_prefixes == ("lab", "mine.models")


def test_settings_survive_the_way_into_a_child(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that is started with `environment` reads the same settings."""
    settings = Settings(
        data_dir=tmp_path,
        port=0,
        trust_network=True,
        file_roots=(tmp_path / "a", tmp_path / "b"),
        entrypoint_prefixes=("lab", "mine"),
        code_root=tmp_path,
        max_body_bytes=17,
        require_keys=True,
    )
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org"])  # noqa: S104
def test_other_machines_need_keys(host: str) -> None:
    """Where others reach the address, keys are demanded, and this cannot be turned off alone."""
    assert Settings(host=host).demands_keys
    with pytest.raises(ValidationError, match="BATCHSCOUT_TRUST_NETWORK"):
        Settings(host=host, require_keys=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_loopback_is_welcome(host: str) -> None:
    """On a loopback address keys are demanded only where that was asked for."""
    assert not Settings(host=host).demands_keys
    assert Settings(host=host, require_keys=True).demands_keys


def test_a_trusted_network_may_be_listened_on() -> None:
    """One named setting opens the service to the network of a container."""
    trusting = Settings(host="0.0.0.0", trust_network=True)  # noqa: S104
    assert not trusting.is_loopback
    assert not trusting.demands_keys
    assert trusting.model_copy(update={"require_keys": True}).demands_keys


def test_settings_do_not_change() -> None:
    """The settings are frozen once read."""
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_data_lies_where_the_desktop_standard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """`XDG_DATA_HOME` decides, else the home folder."""
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    assert default_data_dir() == Path("/somewhere/batchscout")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_data_dir() == Path.home() / ".local/share/batchscout"
