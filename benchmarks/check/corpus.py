"""The configs of the tests, judged and mended: what is wrong, and what was touched besides."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from batchscout.check.configuration import Configuration, Setting, UnreadableConfig
from batchscout.check.fixing import Fixed, fix
from batchscout.check.holding import Wanted
from batchscout.check.judging import Tolerances
from batchscout.check.run import Task, check
from tests.batchscout.check.corpus import CONFIGS, EXPECTED, WANTED, read, told
from tests.batchscout.check.records import write_lock

VERDICTS = json.loads((CONFIGS.parent / "verdicts.json").read_text(encoding="utf-8"))


def corpus_figures() -> dict[str, Any]:
    """Read, judge and mend every config of the corpus.

    Returns:
        How many files there are, how many are read or judged otherwise than the tables say, how
        many values were mended, and how many bytes outside of them differ afterwards.
    """
    with tempfile.TemporaryDirectory() as folder:
        lock_file = write_lock(Path(folder))
        misjudged = [name for name in EXPECTED if not _judged_right(name, lock_file)]
    readable = [name for name, expected in EXPECTED.items() if "framework" in expected]
    configurations = [read(name) for name in readable]
    pairs = [(one, fix(one, WANTED)) for one in configurations]
    return {
        "files": len(EXPECTED),
        "readable": len(readable),
        "misread": [name for name in EXPECTED if not _read_right(name)],
        "misjudged": misjudged,
        "verdicts": sum(len(one.keys() - {"exit_code"}) for one in VERDICTS.values()),
        "values_mended": sum(len(fixed.changed) for _, fixed in pairs),
        "foreign_bytes": sum(_foreign_bytes(one, fixed) for one, fixed in pairs),
    }


def _read_right(name: str) -> bool:
    expected = EXPECTED[name]
    try:
        return told(read(name)) == expected
    except UnreadableConfig as error:
        return "unreadable" in expected and expected["unreadable"] in str(error)


def _judged_right(name: str, lock_file: Path) -> bool:
    task = Task(
        configs=(CONFIGS / name,),
        wanted=Wanted(lock_file=lock_file),
        tolerances=Tolerances(),
        mapping={},
    )
    outcome = check(task)
    (report,) = outcome.reports
    levels = {one.code: str(one.level) for one in report.verdicts if one.code != "config"}
    return {"exit_code": int(outcome.exit_code)} | levels == VERDICTS[name]


def _foreign_bytes(before: Configuration, fixed: Fixed) -> int:
    """Count bytes that differ outside of the values that were changed."""
    old = _pieces(before.text, [_start_end(before.settings[role]) for role in fixed.changed])
    new = _pieces(fixed.text, [_start_end(one) for one in fixed.changed.values()])
    if len(old) != len(new):
        raise SystemExit(f"{before.file} has other values after the fix")
    return sum(_differing(one, other) for one, other in zip(old, new, strict=True))


def _start_end(setting: Setting) -> tuple[int, int]:
    if setting.place is None:
        raise SystemExit(f"{setting.origin} was changed and stands nowhere")
    return setting.place.start, setting.place.end


def _pieces(text: str, values: list[tuple[int, int]]) -> list[bytes]:
    """Cut the values out of a text."""
    pieces, at = [], 0
    for start, end in sorted(values):
        pieces.append(text[at:start].encode())
        at = end
    return [*pieces, text[at:].encode()]


def _differing(one: bytes, other: bytes) -> int:
    differing = sum(a != b for a, b in zip(one, other, strict=False))
    return differing + abs(len(one) - len(other))
