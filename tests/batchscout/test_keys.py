"""`batchscout keys`: made once, listed without secrets, revoked."""

import json
from pathlib import Path

import pytest

from batchscout.__main__ import main
from batchscout.exits import Exit
from service.callback_secret import secret_of
from service.keys import digest_of
from service.settings import Settings
from service.store.keys import Keys
from service.store.opening import opened


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that does not exist yet, named by the environment."""
    monkeypatch.setenv("BATCHSCOUT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def make(capsys: pytest.CaptureFixture[str], name: str) -> dict[str, str]:
    """Make a key and read what is printed."""
    assert main(["keys", "create", name, "--json"]) == Exit.OK
    made: dict[str, str] = json.loads(capsys.readouterr().out)
    return made


def test_a_key_is_shown_once(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `create` prints opens the service; no list shows it, nor the callback secret."""
    made = make(capsys, "laptop")
    settings = Settings(data_dir=data_dir)
    with opened(settings) as database:
        assert Keys(database).find(digest_of(made["key"])) == made["id"]
    assert made["callback_secret"] == secret_of(settings, made["id"])
    for more in ([], ["--json"]):
        assert main(["keys", "list", *more]) == Exit.OK
        shown = capsys.readouterr().out
        assert made["id"] in shown
        assert "laptop" in shown
        assert made["key"] not in shown
        assert made["callback_secret"] not in shown


def test_a_key_is_printed_for_people(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Key and secret stand each on a line of its own."""
    assert main(["keys", "create", "ann", "--data-dir", str(data_dir)]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("key ") and " bs_" in line for line in lines)
    assert any(line.startswith("callback secret ") and " whsec_" in line for line in lines)


def test_a_revoked_key_is_marked(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Afterwards the list says when, and other keys are as before."""
    one, other = make(capsys, "one"), make(capsys, "other")
    assert main(["keys", "revoke", one["id"]]) == Exit.OK
    capsys.readouterr()
    assert main(["keys", "list", "--json"]) == Exit.OK
    revoked = {row["id"]: row["revoked_at"] for row in json.loads(capsys.readouterr().out)}
    assert revoked[one["id"]] is not None
    assert revoked[other["id"]] is None


def test_the_secret_of_callbacks_is_shown_again(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the id of its key, or without one for a service that has no keys."""
    made = make(capsys, "one")
    assert main(["keys", "secret", made["id"]]) == Exit.OK
    assert capsys.readouterr().out.strip() == made["callback_secret"]
    assert main(["keys", "secret"]) == Exit.OK
    assert capsys.readouterr().out.strip() == secret_of(Settings(data_dir=data_dir), None)


@pytest.mark.parametrize("action", ["revoke", "secret"])
def test_an_unknown_key_is_a_usage_error(
    action: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the folder, which may be the wrong one."""
    assert main(["keys", action, "ak_none"]) == Exit.USAGE
    assert str(data_dir) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 121])
def test_a_name_is_one_line(name: str, data_dir: Path) -> None:
    """What a list could not show is refused before anything is made."""
    with pytest.raises(SystemExit) as ended:
        main(["keys", "create", name])
    assert ended.value.code == Exit.USAGE
    assert not data_dir.exists()


def test_a_folder_that_cannot_be_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence and a code, no traceback."""
    (tmp_path / "file").touch()
    assert main(["keys", "list", "--data-dir", str(tmp_path / "file" / "x")]) == Exit.UNTOLD
    assert "cannot be used" in capsys.readouterr().err
