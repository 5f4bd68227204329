"""Write `tuner/architectures.json`: every architecture of transformers that really trains.

Each candidate is built small, through the same code that a measurement uses, in a process of
its own with limits on time and memory. It is kept if it can be built on the `meta` device,
follows from its seed, scores in the right shape, has finite gradients (with padding as well)
and, as a language model, lets no position see a later one.

    python scripts/list_architectures.py [model_type ...]

With names, only those are tried, and the others keep their entry.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers.models.auto import modeling_auto

from tuner import architectures
from tuner.places import Places
from tuner.records import Workload
from tuner.workloads import sizing
from tuner.workloads.build import build_model
from tuner.workloads.data import Data, load_data
from tuner.workloads.forward import logits_of
from tuner.workloads.losses import build_criterion

TABLE: Final = architectures.TABLE
TIME_LIMIT_SECONDS: Final = 40.0
MAX_PARAMETERS: Final = 300_000_000
AT_ONCE: Final = 2
MEMORY_LIMIT_BYTES: Final = 12 * 2**30
SAMPLES: Final = 4
TOLERANCE: Final = 1e-4

CANDIDATES: Final = {
    "causal_lm": modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    "sequence_classification": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "image_classification": modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
}
TASKS: Final = {
    "causal_lm": ("causal_lm",),
    "sequence_classification": ("classification", "regression"),
    "image_classification": ("classification", "regression"),
}
INPUTS: Final = {
    "causal_lm": {"shape": [16], "dtype": "int64", "high": 64},
    "sequence_classification": {"shape": [16], "dtype": "int64", "high": 64},
    "image_classification": {"shape": [3, 64, 64], "dtype": "float32"},
}
SMALL: Final[dict[str, int]] = {
    "hidden_size": 32,
    "n_embd": 32,
    "d_model": 32,
    "embedding_size": 32,
    "intermediate_size": 64,
    "n_inner": 64,
    "ffn_dim": 64,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "head_dim": 8,
    "num_attention_heads": 4,
    "n_head": 4,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "num_key_value_heads": 2,
    "moe_intermediate_size": 32,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
}
SHALLOW: Final[dict[str, int]] = {
    "num_hidden_layers": 2,
    "n_layer": 2,
    "num_layers": 2,
    "encoder_layers": 2,
    "decoder_layers": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One candidate that is being tried in a process of its own."""

    name: str
    head: str
    process: BaseProcess
    inbox: Connection
    started: float


def main() -> None:
    """Try the candidates, two at a time, and write those that passed."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    chosen = set(sys.argv[1:])
    kept: dict[str, set[str]] = {
        name: set(heads) for name, heads in table["architectures"].items() if chosen - {name}
    }
    if not chosen:
        kept = {}
    for name in chosen:
        kept.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        # Every candidate counts as accepted while it is tried.
        architectures.TABLE = Path(folder) / "candidates.json"  # type: ignore[misc]
        architectures.TABLE.write_text(json.dumps(_all_candidates()), encoding="utf-8")
        torch.set_num_threads(1)
        for name, head, failure in _tried(chosen):
            print(f"{name:32} {head:24} {failure or 'ok'}", flush=True)  # noqa: T201 - a script
            if failure is None:
                kept.setdefault(name, set()).add(head)
    _write(kept)


def _all_candidates() -> dict[str, Any]:
    names = sorted({name for names in CANDIDATES.values() for name in names})
    return {"transformers_version": "", "architectures": {name: list(CANDIDATES) for name in names}}


def _write(kept: dict[str, set[str]]) -> None:
    lines = [f"    {json.dumps(name)}: {json.dumps(sorted(kept[name]))}" for name in sorted(kept)]
    version = json.dumps(transformers.__version__)
    body = ",\n".join(lines)
    text = f'{{\n  "transformers_version": {version},\n  "architectures": {{\n{body}\n  }}\n}}\n'
    TABLE.write_text(text, encoding="utf-8")


def _tried(chosen: set[str]) -> Iterator[tuple[str, str, str | None]]:
    waiting = [
        (name, head)
        for head, names in CANDIDATES.items()
        for name in names
        if not chosen or name in chosen
    ]
    running: list[Try] = []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            running.append(_started(*waiting.pop(0)))
        wait([one.inbox for one in running], timeout=1.0)
        for one in list(running):
            late = time.monotonic() - one.started > TIME_LIMIT_SECONDS
            if one.inbox.poll() or late:
                running.remove(one)
                yield one.name, one.head, _outcome(one)


def _started(name: str, head: str) -> Try:
    context = multiprocessing.get_context("fork")
    inbox, outbox = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(name, head, outbox))
    process.start()
    outbox.close()
    return Try(name=name, head=head, process=process, inbox=inbox, started=time.monotonic())


def _outcome(one: Try) -> str | None:
    try:
        failure = one.inbox.recv() if one.inbox.poll() else "too slow"
    except EOFError:
        failure = "its process ended"
    one.process.kill()
    one.process.join()
    one.inbox.close()
    return None if failure is None else str(failure)


def _child(name: str, head: str, outbox: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    transformers.logging.set_verbosity_error()
    sizing.MAX_PARAMETERS = MAX_PARAMETERS  # type: ignore[misc]
    failures = []
    for keys in (SMALL | SHALLOW, SHALLOW):
        try:
            for task in TASKS[head]:
                _try(name, head, task, keys)
        except Exception as error:  # noqa: BLE001 - whatever it raises speaks against it
            failures.append(f"{type(error).__name__}: {str(error).splitlines()[:1]}"[:160])
        else:
            outbox.send(None)
            return
    outbox.send(failures[0])


def _try(name: str, head: str, task: str, keys: dict[str, int]) -> None:
    usual = transformers.AutoConfig.for_model(name)
    config = {key: value for key, value in keys.items() if key in usual.to_dict()}
    workload = Workload(
        model={"kind": "hf_config", "model_type": name, "config": config},
        dataset={
            "kind": "synthetic",
            "inputs": INPUTS[head],
            "num_samples": 2 * SAMPLES,
            "num_outputs": 3,
            "validation_fraction": 0.5,
        },
        training={"task": task, "optimizer": {"kind": "sgd"}},
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )
    places = Places(artifacts=Path(tempfile.gettempdir()))
    data = load_data(workload, places)
    model = build_model(workload, data, seed=1, places=places)
    _check_seed(model, build_model(workload, data, seed=1, places=places))
    _check_gradients(model, data, workload)
    if task == "causal_lm":
        data.train.inputs[0, -3:] = -1
        _check_gradients(model, data, workload)
        _check_causal(model, data)


def _check_seed(one: torch.nn.Module, other: torch.nn.Module) -> None:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    if not all(torch.equal(a, b) for a, b in pairs):
        raise ValueError("its weights do not follow from the seed")


def _check_gradients(model: torch.nn.Module, data: Data, workload: Workload) -> None:
    model.train().zero_grad()
    criterion = build_criterion(workload.training, data)
    criterion.loss_sum(model, data.train.inputs, data.train.targets).backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if not gradients or not all(bool(g.isfinite().all()) for g in gradients):
        raise ValueError("its gradients are missing or not finite")
    if not any(bool(g.any()) for g in gradients):
        raise ValueError("its gradients are all zero")


def _check_causal(model: torch.nn.Module, data: Data) -> None:
    model.eval()
    tokens = data.validation.inputs
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % INPUTS["causal_lm"]["high"]  # type: ignore[operator]
    with torch.no_grad():
        one, other = logits_of(model, tokens), logits_of(model, changed)
    if one.shape[:2] != tokens.shape:
        raise ValueError(f"its scores have the shape {tuple(one.shape)}")
    if float((one[:, :-1] - other[:, :-1]).abs().max()) > TOLERANCE:
        raise ValueError("a position sees a later one")


if __name__ == "__main__":
    main()
