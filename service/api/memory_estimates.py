"""Memory estimates: what fits a card, predicted while the caller waits."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from service.api.dependencies import StrictBody, Wired
from service.api.examples import ESTIMATE
from service.api.responses import OF_A_BODY, problems
from service.schemas import MemoryEstimate

router = APIRouter(prefix="/v1/memory-estimates", tags=["memory estimates"])

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/MemoryEstimateSpec"},
                "examples": {"gpt2": {"summary": "GPT-2 on two cards", "value": ESTIMATE}},
            }
        },
    }
}


@router.post(
    "",
    openapi_extra=_BODY,
    responses=problems(
        *OF_A_BODY,
        "invalid_spec",
        "invalid_workload",
        "card_unknown",
        "model_not_traceable",
        "model_too_large",
        "estimates_busy",
        "estimate_lost",
        "estimate_timed_out",
    ),
)
def estimate_memory(body: StrictBody, parts: Wired) -> MemoryEstimate:
    """Predict the memory of training on some cards. No device is needed, nothing is stored."""
    return parts.estimates.answer(body)
