"""Every config of the corpus gets the verdicts of the table, by an answer that is easy to compute.

The answer is that of `records.py`: 8 x 3 = 24 samples at a rate of 0.02 to 0.05, T(24) = 96 s.
So the table can be worked out by hand: 10,000 bytes hold 20 samples for certain and 22 not;
training takes 2.1 % longer at a batch of 32, 4.2 % at 16, 12.5 % at 48, 26 % at 64 and 33 % at 8,
where 10 % are tolerated.
"""

import json
from pathlib import Path

import pytest

from batchscout.check.holding import Wanted
from batchscout.check.judging import Tolerances
from batchscout.check.run import Task, check
from tests.batchscout.check.corpus import CONFIGS, EXPECTED
from tests.batchscout.check.records import write_lock

EXPECTED_VERDICTS = json.loads((Path(__file__).parent / "verdicts.json").read_text("utf-8"))


def test_the_table_holds_every_file() -> None:
    """No config of the corpus is without known verdicts."""
    assert set(EXPECTED_VERDICTS) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED_VERDICTS)
def test_a_config_gets_the_verdicts_of_the_table(name: str, tmp_path: Path) -> None:
    """Each question is answered at the level that the table says, and so is the whole."""
    task = Task(
        configs=(CONFIGS / name,),
        wanted=Wanted(lock_file=write_lock(tmp_path)),
        tolerances=Tolerances(),
        mapping={},
    )
    outcome = check(task)
    (report,) = outcome.reports
    levels = {one.code: str(one.level) for one in report.verdicts if one.code != "config"}
    assert {"exit_code": int(outcome.exit_code)} | levels == EXPECTED_VERDICTS[name]
