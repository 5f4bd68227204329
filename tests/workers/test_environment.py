"""What a child sees of its session's environment."""

from __future__ import annotations

import pytest

from workers.environment import scrubbed

SECRETS = {
    "OPENAI_API_KEY": "a",
    "AWS_SECRET_ACCESS_KEY": "a",
    "HF_TOKEN": "a",
    "Db_Password": "a",
    "GOOGLE_APPLICATION_CREDENTIALS": "/file",
    "SSH_AUTH_SOCK": "/run/agent",
    "BATCHSCOUT_DATABASE": "sqlite://",
    "DATABASE_URL": "postgresql://me:secret@host/db",
    "PYTHONPATH": ".",
    "PYTHONSTARTUP": "x.py",
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_and_import_paths_are_not_handed_on(name: str) -> None:
    """No key, password or path of the caller reaches user code."""
    assert name not in scrubbed({name: SECRETS[name], "HOME": "/h"}, "")


def test_the_rest_is_handed_on_and_downloads_are_off() -> None:
    """Ordinary variables stay; the Hub is offline even if the caller's is not."""
    kept = scrubbed({"HOME": "/h", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "0"}, "GPU-1")
    assert kept["HOME"] == "/h"
    assert kept["OMP_NUM_THREADS"] == "1"
    assert kept["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        assert kept[name] == "1"


def test_the_processor_s_child_sees_no_card() -> None:
    """An empty list of devices hides cards that the caller sees."""
    assert scrubbed({"CUDA_VISIBLE_DEVICES": "0,1"}, "")["CUDA_VISIBLE_DEVICES"] == ""
