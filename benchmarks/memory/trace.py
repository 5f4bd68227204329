"""What a prediction costs, and how far its live bytes are from those of real tensors.

Run from the root of the repository: `python -m benchmarks.memory.trace [--out FILE]`. Three
models of some 300 million parameters are traced for a card, once per micro-batch size, and one
whole answer is timed in a fresh process, imports included; seconds of the processor stand beside
those of the clock, which depend on what else runs. Small networks of all families are
traced for the CPU and then really trained there, under tracked memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import machine_facts
from benchmarks.memory.small import small_workloads
from benchmarks.memory.subjects import ADAMW, entry, images, tokens
from tuner.measuring.memory import measure_memory
from tuner.measuring.tracing import predict
from tuner.measuring.tracing.trace import Tracer
from tuner.measuring.workbench import set_up
from tuner.places import Places
from tuner.records import CardModel, MemoryTrial, Workload

RESULT: Final = Path(__file__).parents[1] / "results" / "memory-trace.json"
REPEATS: Final = 3
ACCUMULATION: Final = 2
MICRO_BATCH_SIZE: Final = 6
CARD: Final = CardModel(name="80 GB", memory_bytes=80 * 10**9, context_bytes=0, device_type="cuda")
HOST: Final = CardModel(name="host", memory_bytes=2**40, context_bytes=0, device_type="cpu")
PLACES: Final = Places(artifacts=Path(tempfile.gettempdir()), entrypoint_prefixes=("benchmarks",))
PHASES: Final = ("forward_backward_bytes", "optimizer_bytes", "evaluation_bytes")


def _training(task: str, **options: Any) -> dict[str, Any]:
    return {
        "task": task,
        "optimizer": ADAMW,
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": 1.0,
        **options,
    }


def _workload(model: dict[str, Any], dataset: dict[str, Any], **training: Any) -> Workload:
    return Workload(
        model=model,
        dataset=dataset,
        training=_training(**training),
        metric="validation_loss",
        accelerator="cuda",
        data_seed=0,
    )


def large_workloads() -> dict[str, Workload]:
    """State models of some 300 million parameters."""
    wide = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    wide["intermediate_size"] = 4096
    gpt2 = {"n_embd": 1024, "n_layer": 24, "n_head": 16}
    bert = entry("text_classifier", name="Bert", config=wide)
    return {
        "gpt2-medium L1024 fp32": _workload(
            {"kind": "hf_config", "model_type": "gpt2", "config": gpt2},
            tokens(1024, 50257),
            task="causal_lm",
        ),
        "gpt2-medium L1024 bf16 checkpointed": _workload(
            {"kind": "hf_config", "model_type": "gpt2", "config": gpt2},
            tokens(1024, 50257),
            task="causal_lm",
            precision="bf16",
            activation_checkpointing=True,
        ),
        "vit-large/16 224 fp32": _workload(
            {"kind": "hf_config", "model_type": "vit", "config": wide},
            images(224),
            task="classification",
        ),
        "bert-large L512 bf16": _workload(
            bert, tokens(512, 30522), task="classification", precision="bf16"
        ),
    }


def cost(workload: Workload) -> dict[str, Any]:
    """Time the build without values, and traces at several sizes."""
    began = time.perf_counter()
    tracer = Tracer(workload, PLACES, CARD)
    built = time.perf_counter() - began
    seconds, busy = [], []
    for size in [2**index for index in range(1, REPEATS + 1)]:
        began, began_busy = time.perf_counter(), time.process_time()
        trace = tracer.trace(size, ACCUMULATION)
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - began_busy)
    return {
        "parameters": trace.parameter_bytes // 4,
        "build_seconds": round(built, 2),
        "trace_seconds": [round(value, 2) for value in seconds],
        "median_trace_seconds": round(statistics.median(seconds), 2),
        "median_trace_processor_seconds": round(statistics.median(busy), 2),
        "events": len(trace.events.order),
    }


def cold_answer(name: str) -> dict[str, Any]:
    """Time one whole prediction in a process of its own."""
    began, began_busy = time.perf_counter(), _children_seconds()
    command = [sys.executable, "-m", "benchmarks.memory.trace", "--answer", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(_children_seconds() - began_busy, 2),
        **json.loads(done.stdout.splitlines()[-1]),
    }


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def answer(name: str) -> dict[str, Any]:
    """Predict two sizes of one large workload."""
    predicted = predict(large_workloads()[name], PLACES, [8, 16], 1, CARD)
    return {
        "live_bytes": [point.live_bytes for point in predicted.points],
        "reserved_bytes": [point.reserved_bytes for point in predicted.points],
    }


def compared(workload: Workload) -> dict[str, Any]:
    """Hold a trace against a real trial on the CPU."""
    predicted = predict(workload, PLACES, [MICRO_BATCH_SIZE], ACCUMULATION, HOST)
    if not predicted.traced:
        return {"traced": False, "reason": predicted.reason}
    request = MemoryTrial(
        id="trial",
        workload=workload,
        micro_batch_size=MICRO_BATCH_SIZE,
        accumulation=ACCUMULATION,
        limit_bytes=2**40,
    )
    trial = measure_memory(lambda: set_up(workload, PLACES), request)
    point = predicted.points[0]
    return {
        "traced": True,
        "predicted_bytes": {phase: getattr(point, phase) for phase in PHASES},
        "measured_bytes": {phase: getattr(trial, phase) for phase in PHASES},
        "largest_relative_error": max(
            abs(getattr(point, phase) / getattr(trial, phase) - 1.0) for phase in PHASES
        ),
    }


def main() -> None:
    """Measure everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--answer", help="only predict this large model, and print it")
    options = parser.parse_args()
    if options.answer:
        print(json.dumps(answer(options.answer)))
        return
    cold = {name: cold_answer(name) for name in large_workloads()}
    result = {
        "machine": machine_facts(),
        "accumulation": ACCUMULATION,
        "large": {name: cost(workload) for name, workload in large_workloads().items()},
        "cold_answer_of_two_sizes": cold,
        "live_bytes_on_cpu": {
            name: compared(workload) for name, workload in small_workloads().items()
        },
    }
    errors = [case["largest_relative_error"] for case in result["live_bytes_on_cpu"].values()]
    result["largest_relative_error"] = max(errors)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, measured in result["large"].items():
        print(
            f"{name:40} {measured['median_trace_seconds']:6.2f} s a trace, "
            f"{measured['median_trace_processor_seconds']:.2f} s of the processor"
        )
    for name, measured in cold.items():
        print(
            f"{name:40} {measured['seconds']:6.2f} s a cold answer, "
            f"{measured['processor_seconds']:.2f} s of the processor"
        )
    print(f"{len(errors)} small networks, largest error {max(errors):.2e}")


if __name__ == "__main__":
    main()
