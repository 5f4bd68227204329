"""How far a team lets a config be from the answer."""

from pathlib import Path

import pytest

from batchscout.check.judging.tolerances import BadTolerances, Tolerances, tolerances_of

TABLE = "[tool.batchscout.check]\n"


def team(folder: Path, text: str) -> None:
    """Write a team's file."""
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """A factor of 2 and 10 per cent."""
    assert tolerances_of(tmp_path) == Tolerances(learning_rate=2.0, slow_down=10.0)


def test_the_nearest_table_counts_and_the_command_line_wins(tmp_path: Path) -> None:
    """A pyproject.toml without the table is passed by on the way up."""
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    team(tmp_path, TABLE + "learning-rate-tolerance = 3\nslow-down-tolerance = 25.5\n")
    team(below, "[project]\nname = 'x'\n")
    assert tolerances_of(below) == Tolerances(learning_rate=3.0, slow_down=25.5)
    assert tolerances_of(below, slow_down=0.0) == Tolerances(learning_rate=3.0, slow_down=0.0)
    team(below, TABLE)
    assert tolerances_of(below) == Tolerances()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (TABLE + "memory-tolerance = 1\n", "'memory-tolerance'"),
        (TABLE + "slow-down-tolerance = 'much'\n", "slow-down-tolerance"),
        (TABLE + "slow-down-tolerance = true\n", "slow-down-tolerance"),
        (TABLE + "slow-down-tolerance = -1\n", "at least 0"),
        (TABLE + "slow-down-tolerance = nan\n", "at least 0"),
        (TABLE + "learning-rate-tolerance = 0.5\n", "at least 1"),
        (TABLE + "learning-rate-tolerance = inf\n", "at least 1"),
        ("[tool.batchscout]\ncheck = 3\n", "no table"),
        ("not toml", "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, word: str) -> None:
    """Neither a slip in a name nor a value without sense passes in silence."""
    team(tmp_path, text)
    with pytest.raises(BadTolerances, match="pyproject") as refusal:
        tolerances_of(tmp_path)
    assert word in str(refusal.value)
