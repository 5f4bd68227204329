"""What was measured, one line of JSON each, so that a later call goes on where this one stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

SETTING: Final = "setting"
"""Key of the line that says what all others of its workload were measured with."""


class OtherSetting(Exception):
    """The file holds lines of this workload that were measured with something else."""


class Ledger:
    """The lines of one workload in a file that several workloads share.

    Args:
        path: The file; made with its folder when the first line is written.
        workload: Whose lines are read and written.
    """

    def __init__(self, path: Path, workload: str) -> None:
        self._path = path
        self._workload = workload
        self._values = {
            line["key"]: line["value"] for line in lines_of(path) if line["workload"] == workload
        }

    def get(self, key: str) -> Any:
        """Return what is known by a key, or None."""
        return self._values.get(key)

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Keep a value, on the disk first."""
        line = json.dumps({"workload": self._workload, "key": key, "value": value})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        broken = self._path.exists() and self._path.read_bytes()[-1:] not in {b"", b"\n"}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if broken else "") + line + "\n")
        self._values[key] = value

    def agree(self, setting: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Take the setting as that of the lines, or hold it against theirs.

        Args:
            setting: What has to be the same in every call.
            facts: What is kept beside it, of the first call.

        Raises:
            OtherSetting: The lines were measured with another one.
        """
        known = self.get(SETTING)
        if known is None:
            self.put(SETTING, {**setting, "facts": facts})
            return
        other = [name for name, value in setting.items() if known.get(name) != value]
        if other:
            told = "; ".join(f"{name}: {known.get(name)}, now {setting[name]}" for name in other)
            raise OtherSetting(
                f"{self._path.name} holds lines of {self._workload} that were measured "
                f"otherwise ({told}). Name another file with --out."
            )


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Read the lines of a file; one that was broken off is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
