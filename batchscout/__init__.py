"""Measures which batch size and learning rate train a model fastest, and says how it knows.

This package is what a user installs: the commands, the HTTP client and the typed answer. The
client half (`client`, `answer`, `errors`) needs httpx and nothing else: neither torch nor
FastAPI nor pydantic, so that a CI runner or a notebook has it in seconds.

    import batchscout

    with batchscout.Client("http://127.0.0.1:8321") as service:
        answer = service.tune({"model": ..., "dataset": ..., "training": ...})
        print(answer.micro_batch_size, answer.learning_rate)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchscout.answer import Answer
    from batchscout.client import AsyncClient, Client
    from batchscout.jobs import Job

__all__ = ["Answer", "AsyncClient", "Client", "Job"]


def __getattr__(name: str) -> Any:
    """Find what people import most; loaded only then, since not every command needs httpx."""
    if name in __all__:
        from batchscout import answer, client, jobs  # noqa: PLC0415

        return next(
            getattr(module, name) for module in (answer, client, jobs) if hasattr(module, name)
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
