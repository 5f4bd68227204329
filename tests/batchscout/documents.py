"""Documents as the service gives them, for the tests of the client half."""

from typing import Any

CANDIDATE: dict[str, Any] = {
    "global_batch_size": 128,
    "micro_batch_size": 64,
    "gradient_accumulation_steps": 2,
    "learning_rate": 0.0525,
    "runs": 5,
    "runs_reached": 4,
    "time_to_target_seconds": {
        "estimate": 3.31,
        "low": None,
        "high": None,
        "confidence": 0.95,
        "runs": 5,
    },
    "final_metric": 0.1187,
    "sharpness": {"asam": 0.0215, "keskar": 1.93, "hessian_top_eigenvalue": None},
}

RECOMMENDATION: dict[str, Any] = {
    "micro_batch_size": 48,
    "gradient_accumulation_steps": 3,
    "data_parallel_size": 1,
    "global_batch_size": 144,
    "learning_rate": 0.0314,
    "objective": "time_to_target",
    "metric": "validation_loss",
    "target": 0.123,
    "target_origin": "user",
    "target_reached": True,
    "runs": 5,
    "runs_reached": 5,
    "closest_metric": 0.1199,
    "evidence": "full",
    "limited_by": "none",
    "time_to_target_seconds": {
        "estimate": 3.14,
        "low": 2.71,
        "high": 3.62,
        "confidence": 0.95,
        "runs": 5,
    },
    "metric_at_budget": None,
    "steps_to_target": 412.5,
    "step_time_seconds": 0.0076,
    "wall_to_calibrated": 1.02,
    "evaluation_seconds": 0.0021,
    "samples_per_second": 8512.0,
    "max_micro_batch_size": 1437,
    "peak_memory_bytes": 812345344,
    "memory_limit_bytes": 8589934592,
    "memory_curve": [
        {
            "micro_batch_size": 64,
            "predicted_bytes": 712345344,
            "measured_bytes": None,
            "out_of_memory": None,
        },
        {
            "micro_batch_size": 1437,
            "predicted_bytes": 7912345344,
            "measured_bytes": 8212345344,
            "out_of_memory": False,
        },
    ],
    "learning_rate_range": {"low": 0.0121, "high": 0.0707},
    "critical_batch_size": {"estimate": 71.0, "low": 52.0, "high": 96.0, "confidence": 0.95},
    "time_model": {
        "steps_minimum": 190.0,
        "critical_batch_size": 71.0,
        "step_seconds": {"fixed": 0.003, "per_sample": 0.00007},
    },
    "sharpness": {"asam": 0.0213, "keskar": 1.91, "hessian_top_eigenvalue": 38.2},
    "device": {"kind": "cpu", "name": "A processor", "memory_bytes": 17179869184},
    "pareto": [CANDIDATE],
    "rivals": [CANDIDATE],
    "held_fixed": {
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": False},
        "schedule": "constant",
        "gradient_clip_norm": 1.5,
        "warmup_samples": 1440,
        "warmup_steps": 10,
        "horizon_samples": None,
        "horizon_steps": None,
    },
    "reused": {
        "job_id": "tj_0123",
        "answered_at": "2026-01-02T03:04:05+00:00",
        "device_kind": "cuda:A card",
        "device_name": "A card",
        "global_batch_size": 64,
        "learning_rate": 0.02,
        "steps": 480.0,
        "target": 0.12,
        "critical_batch_size": {"estimate": 71.0, "low": 52.0, "high": 96.0, "confidence": 0.95},
        "trials": 31,
        "expected_seconds": 3.0,
        "expected_metric": None,
        "measured_to_expected": 1.03,
    },
    "spending": {
        "device_seconds": 151.0,
        "device_seconds_by_stage": {"race": 31.0, "search": 120.0, "plan": 0.0},
        "search_trials": 24,
        "training_runs": 39,
        "stacking": {
            "runs": 14,
            "device_seconds": 11.0,
            "separate_seconds": 24.2,
            "expected_gain": 2.4,
            "refused": None,
        },
    },
    "warnings": [{"code": "short_runs", "detail": "The runs were short, so noise is large."}],
    "spec_digest": "sha256:aa",
    "fingerprint": "sha256:bb",
    "answered_from": None,
}

PROBLEM: dict[str, Any] = {
    "type": "urn:batchscout:problem:invalid_spec",
    "title": "The request is not valid",
    "status": 422,
    "detail": "One field is wrong.",
    "instance": "/v1/tuning-jobs",
    "code": "invalid_spec",
    "errors": [
        {"detail": "low must not exceed high", "pointer": "/search_space", "parameter": None}
    ],
    "traceback": None,
    "facts": None,
}

BEST: dict[str, Any] = {
    "global_batch_size": 96,
    "learning_rate": 0.0271,
    "calibrated_seconds": 4.25,
    "metric": 0.1204,
}


def job(state: str, *, revision: int = 1, **fields: Any) -> dict[str, Any]:
    """A job document in one state."""
    document = {
        "id": "job-7",
        "state": state,
        "stage": None,
        "revision": revision,
        "spec": {},
        "progress": None,
        "recommendation": RECOMMENDATION if state == "succeeded" else None,
        "problem": PROBLEM if state == "failed" else None,
    }
    return document | fields


def progress(stage: str, fraction: float = 0.25, **fields: Any) -> dict[str, Any]:
    """The progress of a running job."""
    return {
        "stage": stage,
        "fraction": fraction,
        "best": None,
        "device_seconds": 12.0,
        "predicted_device_seconds": None,
    } | fields


CARD_ESTIMATE: dict[str, Any] = {
    "name": "A10-24GB",
    "memory_bytes": 23654832046,
    "usable_bytes": 23050852270,
    "source": "a message",
    "reserve_source": "a rule",
    "max_micro_batch_size": 61,
    "limited_by": "memory",
    "bytes_per_sample": 321_000_000,
    "split": {
        "parameter_bytes": 440_000_000,
        "gradient_bytes": 440_000_000,
        "optimizer_state_bytes": 880_000_000,
        "buffer_bytes": 4096,
        "data_bytes": 1_000_000,
        "activation_bytes_per_sample": 320_000_000,
        "workspace_and_context_bytes": 603979776,
    },
    "micro_batch_size": 16,
    "live_bytes": 7_000_000_000,
    "reserved_bytes": 7_500_000_000,
    "total_bytes": 8_103_979_776,
    "verdict": "fits",
}


def estimate(*verdicts: str, **changes: Any) -> dict[str, Any]:
    """An estimate with one card for each verdict, the worst one last."""
    return {
        "verdict": verdicts[-1],
        "micro_batch_size": 16,
        "estimates": [CARD_ESTIMATE | {"verdict": verdict} for verdict in verdicts],
        "bands": {"fits_share": 0.9, "does_not_fit_share": 1.05, "calibrated": False},
        "device_seconds": 4.2,
        "cached": False,
    } | changes


SPREAD: dict[str, Any] = {
    "mean": 0.344,
    "low": 0.331,
    "high": 0.357,
    "confidence": 0.95,
    "seeds": 5,
}

QUANTITIES = (
    "minimum_validation_loss", "epochs_to_minimum", "seconds_to_minimum", "generalisation_gap",
    "distance", "distance_per_epoch", "update_norm", "gradient_norm", "keskar", "keskar_manifold",
    "asam", "hessian_top_eigenvalue", "hessian_trace",
)  # fmt: skip


def arm(batch_size: int, **fields: Any) -> dict[str, Any]:
    """An arm of a study; what is not given was not measured."""
    summary = dict.fromkeys(QUANTITIES) | {"minimum_validation_loss": SPREAD}
    document = {
        "batch_size": batch_size,
        "micro_batch_size": batch_size,
        "learning_rate": 0.01,
        "rule": "optimizer",
        "step_seconds": 0.0021,
        "seconds_per_epoch": 12.4,
        "runs": 5,
        "runs_converged": 4,
        "summary": summary,
    }
    return document | fields


def claim(verdict: str, **fields: Any) -> dict[str, Any]:
    """A claim with a verdict."""
    document = {
        "code": "shorter_epochs",
        "statement": "The larger the batch, the shorter an epoch.",
        "verdict": verdict,
        "measure": "log ratio of seconds per epoch",
        "effect": -0.48,
        "low": -0.51,
        "high": -0.44,
        "confidence": 0.995,
        "smallest_effect": 0.05,
        "seeds": 5,
        "figure": "epoch_seconds",
        "why": "The interval lies beyond the smallest effect.",
    }
    return document | fields


def summary(**fields: Any) -> dict[str, Any]:
    """The summary of a study."""
    document = {
        "arms": [arm(32), arm(256)],
        "claims": [claim("holds"), claim("does_not_hold"), claim("cannot_be_told", effect=None)],
        "num_train": 18610,
        "num_validation": 4652,
        "parameter_count": 40960,
        "device": {"kind": "cpu", "name": "A processor", "memory_bytes": 17179869184},
        "device_seconds": 1915.0,
        "device_seconds_by_stage": {"train": 1800.0, "line": 0.0},
        "warnings": [{"code": "curves_thinned", "detail": "Curves were thinned."}],
        "spec_digest": "sha256:aa",
        "fingerprint": "sha256:bb",
    }
    return document | fields


def study(state: str, **fields: Any) -> dict[str, Any]:
    """A study document in one state."""
    found = summary() if state == "succeeded" else None
    document = job(state, id="bs_7", summary=found) | fields
    del document["recommendation"]
    return document
