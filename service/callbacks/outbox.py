"""The outbox: takes what is due, sends it beside the jobs, and writes down what came of it.

A message is claimed before it is sent and settled afterwards. Whatever dies in between leaves
it due again, so that it is sent at least once; its `webhook-id` tells a second one.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from service.callbacks.message import compose
from service.callbacks.sender import Sender, Tried
from service.store.callbacks import Callbacks, DueCallback, Settlement
from service.store.database import now
from service.store.tables import CallbackState

PAUSES_SECONDS: Final = (5, 30, 120, 600, 3600, 21600, 86400, 86400, 86400)
"""After the first failure, the second, and so on: ten tries in three days and some hours."""

JITTER: Final = 0.1
"""Part by which a pause is longer or shorter, so that receivers are not knocked at in step."""

CLAIM_SECONDS: Final = 60.0
"""How long a claim lasts: well above what one try may take."""

MAX_AT_ONCE: Final = 8
"""Messages that are under way together."""

MAX_AT_ONCE_PER_HOST: Final = 2
"""Of these to one host: a slow receiver does not hold up the others."""

WINDOW: Final = 256
"""Due messages that are looked at."""

CLOSE_SECONDS: Final = 2.0
"""How long messages that are under way may take once the service ends."""

_log = logging.getLogger(__name__)

Secret = Callable[[str | None], str]
"""The secret of an owner."""


class Outbox:
    """Sends callbacks from threads of its own.

    Args:
        callbacks: Where they are stored.
        sender: Sends one.
        secret_of: Signs those of an owner.
        interval_seconds: How often to look for what is due.
        random_share: Draws from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        *,
        callbacks: Callbacks,
        sender: Sender,
        secret_of: Secret,
        interval_seconds: float,
        random_share: Callable[[], float] = random.random,
    ) -> None:
        self._callbacks = callbacks
        self._sender = sender
        self._secret_of = secret_of
        self._interval_seconds = interval_seconds
        self._random_share = random_share
        self._under_way: dict[str, tuple[str, threading.Thread]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin to look and to send."""
        self._thread.start()

    def close(self) -> None:
        """Take nothing more, and wait a little for what is under way."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.join(CLOSE_SECONDS)

    def join(self, timeout_seconds: float) -> None:
        """Wait until nothing is under way, or the time is over."""
        end = time.monotonic() + timeout_seconds
        with self._lock:
            threads = [thread for _, thread in self._under_way.values()]
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def turn(self) -> int:
        """Make one pass: begin to send what is due and what there is room for.

        Returns:
            How many messages were begun.
        """
        chosen = self._choose()
        if not chosen:
            return 0
        until = now() + timedelta(seconds=CLAIM_SECONDS)
        taken = self._callbacks.claim([one.id for one, _ in chosen], until=until)
        for callback, host in chosen:
            if callback.id in taken:
                self._begin(callback, host)
        return len(taken)

    def _run(self) -> None:
        failing = False
        while not self._stopping.is_set():
            try:
                self.turn()
                failing = False
            except SQLAlchemyError as error:
                # A full disk or a writer that keeps all others waiting: said once, then waited for.
                if not failing:
                    _log.warning("no callbacks while the database fails (%s)", type(error).__name__)
                failing = True
            except Exception:  # noqa: BLE001 - a bug in one pass must not stop the next one
                _log.exception("callbacks failed; the outbox goes on")
            self._wake.wait(self._interval_seconds)
            self._wake.clear()

    def _choose(self) -> list[tuple[DueCallback, str]]:
        with self._lock:
            under_way = {name: host for name, (host, _) in self._under_way.items()}
        room = MAX_AT_ONCE - len(under_way)
        if room <= 0:
            return []
        hosts = Counter(under_way.values())
        chosen: list[tuple[DueCallback, str]] = []
        for callback in self._callbacks.due(WINDOW):
            host = urlsplit(callback.url).netloc
            if callback.id in under_way or hosts[host] >= MAX_AT_ONCE_PER_HOST:
                continue
            hosts[host] += 1
            chosen.append((callback, host))
            if len(chosen) == room:
                break
        return chosen

    def _begin(self, callback: DueCallback, host: str) -> None:
        thread = threading.Thread(
            target=self._deliver, args=(callback,), name=f"callback {callback.id}", daemon=True
        )
        with self._lock:  # it ends its entry under the same lock, so not before there is one
            thread.start()
            self._under_way[callback.id] = (host, thread)

    def _deliver(self, callback: DueCallback) -> None:
        try:
            tried = self._sender.send(
                url=callback.url,
                message_id=callback.id,
                body=compose(
                    kind=callback.job_kind,
                    job_id=callback.job_id,
                    state=callback.job_state,
                    finished_at=callback.finished_at,
                ),
                secret=self._secret_of(callback.owner),
            )
            settlement = self._settlement(callback, tried)
            self._callbacks.settle(callback.id, settlement)
            _log.info("callback %s of %s: %s", callback.id, callback.job_id, settlement.state)
        except Exception as error:  # noqa: BLE001 - it is due again once its claim has ended
            # Of an unknown error the kind alone is logged: its text may hold the URL.
            _log.warning("callback %s was not settled (%s)", callback.id, type(error).__name__)
        finally:
            with self._lock:
                del self._under_way[callback.id]
            self._wake.set()

    def _settlement(self, callback: DueCallback, tried: Tried) -> Settlement:
        if tried.delivered:
            state, pause = CallbackState.DELIVERED, None
        else:
            pause = None if tried.unwanted else self._pause_seconds(callback.attempts + 1)
            state = CallbackState.GIVEN_UP if pause is None else CallbackState.PENDING
        next_at = None if pause is None else now() + timedelta(seconds=pause)
        return Settlement(state=state, next_at=next_at, status=tried.status, error=tried.error)

    def _pause_seconds(self, failures: int) -> float | None:
        """The pause after so many failures; None where there is no further try."""
        if failures > len(PAUSES_SECONDS):
            return None
        return PAUSES_SECONDS[failures - 1] * (1 + JITTER * (2 * self._random_share() - 1))
