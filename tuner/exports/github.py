"""`github`: outputs of a step, to be appended to the file `$GITHUB_OUTPUT`.

Outputs are pasted into scripts by `${{ … }}` before a shell sees them, so that a value is a
number, a known word, or a text without any character that a shell gives a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

from tuner.exports.format import Format, Keys, Written
from tuner.exports.lines import plain
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import cautions
from tuner.exports.roles import roles


def write(plan: Plan, _: Keys) -> Written:
    """Write one `name=value` for each output; an unmeasured rate is an empty one."""
    found = {name.replace("_", "-"): number(value) for name, value in roles(plan).items()}
    found.setdefault("learning-rate", "")
    answer = plan.answer
    device = answer.get("device")
    texts = {
        "evidence": answer.get("evidence"),
        "device": device.get("name") if isinstance(device, Mapping) else None,
        "fingerprint": answer.get("fingerprint"),
        "spec-digest": answer.get("spec_digest"),
    }
    found |= {name: plain(text) for name, text in texts.items() if isinstance(text, str)}
    for name in ("peak_memory_bytes", "memory_limit_bytes"):
        size = answer.get(name)
        if isinstance(size, int) and not isinstance(size, bool):
            found[name.replace("_", "-")] = number(size)
    text = "".join(f"{name}={value}\n" for name, value in found.items())
    return Written(text=text, notes=tuple(cautions(plan)))


FORMAT = Format(
    name="github",
    media_type="text/plain",
    suffix=".txt",
    summary="outputs of a step, for $GITHUB_OUTPUT",
    has_comments=False,
    write=write,
)
