"""What is shown while a job runs: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Final, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batchscout.commands.quantities import clock, number, seconds
from batchscout.jobs import Job

MEASURES: Final[Mapping[str, str]] = {
    "inspect": "looking at the real data and model",
    "memory": "finding the largest micro-batch that really fits",
    "timing": "timing passes and optimizer steps",
    "verify": "verifying what a past job found, where there is one",
    "race": "racing learning rates at one batch size",
    "plan": "holding the predicted cost against the budget",
    "search": "training configurations of batch size and learning rate",
    "confirm": "training the finalists again on unseen seeds",
    "recommend": "writing the answer",
    "train": "training every batch size to its minimum, seed after seed",
    "minima": "measuring how sharp the minima are",
    "gradients": "measuring how gradients scatter against the batch size",
    "line": "walking the line between the minima of small and large batches",
    "landscape": "drawing the loss round the minima",
    "findings": "holding the claims of the literature against what was measured",
}
"""What each stage of a job measures."""


class Watcher(Protocol):
    """Shows a job's progress. It is told of every change, in order."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, *_: object) -> None:
        """Stop showing."""

    def note(self, sentence: str) -> None:
        """Show one sentence that stays."""

    def __call__(self, job: Job) -> None:
        """Show what changed."""


def make_watcher(stream: TextIO) -> Watcher:
    """Choose how to show progress: live where somebody looks, plain lines elsewhere.

    Args:
        stream: Where to show it.

    Returns:
        A live watcher if the stream is a terminal and `CI` is not set, else a plain one.
    """
    if stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb":
        return LiveWatcher(Console(file=stream))
    return PlainWatcher(stream)


class PlainWatcher:
    """One line for each change of stage and each better configuration.

    Args:
        stream: Where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop showing; every line is out already."""

    def note(self, sentence: str) -> None:
        """Write one line, with the time since the start."""
        elapsed = clock(time.monotonic() - self._started)
        self._stream.write(f"[{elapsed:>7}] {sentence}\n")
        self._stream.flush()

    def __call__(self, job: Job) -> None:
        """Write what is new about the job, if anything is."""
        self._once("state", job.state, f"job {job.id} is {job.state}")
        if job.is_terminal:
            return
        stage = job.progress.get("stage")
        if stage:
            self._once("stage", str(stage), stage_sentence(job))
        best = best_sentence(job)
        if best:
            self._once("best", best, f"best so far: {best}")

    def _once(self, topic: str, news: str, sentence: str) -> None:
        if self._said.get(topic) != news:
            self._said[topic] = news
            self.note(sentence)


class LiveWatcher:
    """A few lines that stay in place: stage, share done, elapsed time, the best so far.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._job: Job | None = None
        self._live = Live(
            console=console, get_renderable=self._page, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the lines away."""
        self._live.stop()

    def note(self, sentence: str) -> None:
        """Write one line above."""
        self._console.print(sentence, highlight=False, markup=False)

    def __call__(self, job: Job) -> None:
        """Take in what changed; the next refresh shows it."""
        self._job = job

    def _page(self) -> RenderableType:
        elapsed = clock(time.monotonic() - self._started)
        job = self._job
        if job is None:
            return Text(f"starting  {elapsed}")
        fraction = float(job.progress.get("fraction") or 0.0)
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=fraction, width=28)
        head.add_row(Text(job.state, style="bold"), bar, f"{fraction:4.0%}", elapsed)
        lines: list[RenderableType] = [head, Text(stage_sentence(job))]
        best = best_sentence(job)
        return Group(*lines, *([Text(f"best so far: {best}")] if best else []))


def stage_sentence(job: Job) -> str:
    """Say what a job measures now, and what it has cost and will cost."""
    progress = job.progress
    stage = str(progress.get("stage") or job.state)
    words = f"{stage}: {MEASURES[stage]}" if stage in MEASURES else stage
    spent, predicted = progress.get("device_seconds"), progress.get("predicted_device_seconds")
    if not spent:
        return words
    of_all = f" of about {seconds(predicted)}" if predicted else ""
    return f"{words} ({seconds(spent)}{of_all} of device time)"


def best_sentence(job: Job) -> str | None:
    """Say which configuration is best so far, or None before there is one."""
    best = job.progress.get("best")
    if not isinstance(best, Mapping):
        return None
    words = [
        f"batch {number(best.get('global_batch_size'))}",
        f"learning rate {number(best.get('learning_rate'))}",
    ]
    if best.get("calibrated_seconds") is not None:
        words.append(f"{seconds(best['calibrated_seconds'])} of training")
    if best.get("metric") is not None:
        words.append(f"metric {number(best['metric'])}")
    return ", ".join(words)
