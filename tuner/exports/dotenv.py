"""`dotenv`: variables for a `.env` file, also read by a shell and by `docker --env-file`.

Values are numbers alone: the three readers agree on nothing else about quotes.
"""

from __future__ import annotations

from typing import Final

from tuner.exports.format import Format, Keys, Written
from tuner.exports.lines import comment
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import remarks
from tuner.exports.roles import roles

PREFIX: Final = "BATCHSCOUT_"


def write(plan: Plan, _: Keys) -> Written:
    """Write one variable for each number."""
    lines = "".join(
        f"{PREFIX}{name.upper()}={number(value)}\n" for name, value in roles(plan).items()
    )
    return Written(text=comment(remarks(plan)) + lines)


FORMAT = Format(
    name="dotenv",
    media_type="text/plain",
    suffix=".env",
    summary="variables BATCHSCOUT_… for a .env file or a shell",
    has_comments=True,
    write=write,
)
