"""The two processes of a service, as their supervisor starts them.

    python -P -m service.processes api        --listen-fd 5 --ready-fd 6
    python -P -m service.processes controller --lock-fd 4 --ready-fd 6

Settings come from the environment. Each ends on SIGTERM, and also when its standard input
closes: that is how it learns that its supervisor is gone, however that ended.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

import uvicorn

from service.app import create_app
from service.settings import Settings

LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
GRACEFUL_SECONDS: Final = 3
"""How long a request that is being answered may take once the API is told to end."""


class ApiServer(uvicorn.Server):
    """Serves the API, says when it does, and lets whoever waits go when it ends.

    Args:
        config: What to serve.
        ready: Called once requests are answered.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve."""
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; whoever waits for a job is answered with what there is."""
        app = self.config.app
        parts = getattr(getattr(app, "state", None), "parts", None)
        if parts is not None:
            parts.watch.close()
            parts.feeds.close()
        await super().shutdown(sockets)


def run_api(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve the API on a socket that listens already, until told to end."""
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    server = ApiServer(config, ready)

    def end() -> None:
        server.should_exit = True

    _on_end(end)
    server.run(sockets=[listener])


def run_controller(settings: Settings, ready: Callable[[], None]) -> None:
    """Drive jobs until told to end."""
    # The tuning brings Optuna and SciPy, which the API must not pay for.
    from service.callback_secret import secret_of  # noqa: PLC0415
    from service.callbacks.outbox import Outbox  # noqa: PLC0415
    from service.callbacks.sender import Sender  # noqa: PLC0415
    from service.controller import Controller  # noqa: PLC0415
    from service.make_machine import make_machine  # noqa: PLC0415
    from service.store.callbacks import Callbacks  # noqa: PLC0415
    from service.store.database import Database  # noqa: PLC0415
    from service.store.ledger import Ledger  # noqa: PLC0415
    from service.store.migrate import migrate  # noqa: PLC0415
    from workers.executors import make_executor  # noqa: PLC0415

    stopping = threading.Event()
    _on_end(stopping.set)
    database = Database(settings.resolved_database_url)
    migrate(database, lock_file=settings.data_dir / "migrate.lock")
    controller = Controller(
        settings=settings,
        ledger=Ledger(database),
        executor=make_executor(settings.executor),
        make_machine=make_machine,
    )
    outbox = Outbox(
        callbacks=Callbacks(database),
        sender=Sender(allowed=settings.callback_networks),
        secret_of=functools.partial(secret_of, settings),
        interval_seconds=settings.callback_interval_seconds,
    )
    outbox.start()
    controller.run(stopping, ready)
    outbox.close()
    database.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the two processes until it is told to end."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)

    def ready() -> None:
        os.write(options.ready_fd, b"1")

    if options.name == "api":
        run_api(settings, socket.socket(fileno=options.listen_fd), ready)
    else:
        run_controller(settings, ready)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="service.processes")
    parser.add_argument("name", choices=["api", "controller"])
    parser.add_argument("--listen-fd", type=int)
    parser.add_argument("--lock-fd", type=int, help="kept open: the lock lasts as long")
    parser.add_argument("--ready-fd", type=int, required=True)
    return parser.parse_args(arguments)


def _on_end(end: Callable[[], None]) -> None:
    def heed(*_: object) -> None:
        end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, heed)

    def watch_supervisor() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        end()

    threading.Thread(target=watch_supervisor, name="supervisor", daemon=True).start()


if __name__ == "__main__":
    main()
