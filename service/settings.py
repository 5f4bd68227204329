"""What an operator can set: the environment, read once into one frozen object."""

from __future__ import annotations

import ipaddress
import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tuner.places import Places

PREFIX = "BATCHSCOUT_"


def default_data_dir() -> Path:
    """The folder for data of programs, as the XDG base directory specification names it."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "batchscout"


class Settings(BaseSettings):
    """One deployment. Every field is an environment variable with the prefix `BATCHSCOUT_`.

    Lists are written the way a shell writes them: folders separated as in `PATH`, prefixes
    by commas.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8321, ge=0, le=65535, description="0 picks a free one.")
    trust_network: bool = Field(
        default=False,
        description=(
            "Listen on an address that others can reach without asking them for keys: "
            "whoever reaches the port may start jobs. Meant for a container whose port is "
            "published on loopback only."
        ),
    )
    require_keys: bool | None = Field(
        default=None,
        description=(
            "Answer only who has a key. Null: on every address that others can reach, unless "
            "the network is trusted."
        ),
    )
    data_dir: Path = Field(default_factory=default_data_dir)
    database_url: str | None = Field(
        default=None, description="SQLAlchemy URL; null: SQLite in the data folder."
    )
    executor: str = Field(default="local", description="Runs measurements, by its name.")
    file_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    code_root: Path | None = None
    entrypoint_prefixes: Annotated[tuple[str, ...], NoDecode] = ()
    max_body_bytes: PositiveInt = 1024 * 1024
    max_body_seconds: PositiveFloat = Field(
        default=30.0, description="How long a body may take to arrive."
    )
    max_body_depth: PositiveInt = 32
    max_queued_jobs: PositiveInt = 1000
    max_queued_jobs_per_key: PositiveInt = 100
    max_wait_seconds: PositiveFloat = 60.0
    watch_interval_seconds: PositiveFloat = Field(
        default=0.1, description="How often long polls look whether a job has changed."
    )
    max_event_streams: PositiveInt = Field(
        default=1000, description="Streams of events that one API process keeps open."
    )
    event_heartbeat_seconds: PositiveFloat = Field(
        default=15.0, description="Longest silence on a stream of events."
    )
    event_stream_seconds: PositiveFloat = Field(
        default=900.0, description="How long a stream stays open; its reader then comes back."
    )
    busy_timeout_seconds: PositiveFloat = Field(
        default=5.0, description="How long a request waits for another writer, on SQLite."
    )
    queue_interval_seconds: PositiveFloat = Field(
        default=0.2, description="How often the controller looks for new jobs and cancels."
    )
    heartbeat_seconds: PositiveFloat = 1.0
    stale_heartbeat_seconds: PositiveFloat = 10.0
    stop_grace_seconds: PositiveFloat = 10.0
    callback_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(),
        description="Networks that callbacks may go to beside public addresses, by commas.",
    )
    callback_interval_seconds: PositiveFloat = Field(
        default=1.0, description="How often the controller looks for callbacks to be sent."
    )
    estimate_timeout_seconds: PositiveFloat = Field(
        default=60.0, description="How long one memory estimate may take."
    )
    estimate_wait_seconds: PositiveFloat = Field(
        default=15.0, description="How long an estimate waits for another one to end."
    )
    estimate_idle_seconds: PositiveFloat = Field(
        default=300.0, description="How long the process that predicts is kept without work."
    )

    @field_validator("file_roots", mode="before")
    @classmethod
    def _split_folders(cls, value: Any) -> Any:
        return tuple(filter(None, value.split(os.pathsep))) if isinstance(value, str) else value

    @field_validator("entrypoint_prefixes", "callback_networks", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @model_validator(mode="after")
    def _not_open_to_all(self) -> Self:
        if self.require_keys is False and not self.is_loopback and not self.trust_network:
            raise ValueError(
                f"host {self.host} can be reached by others, who would need no key: leave "
                f"{PREFIX}REQUIRE_KEYS out, listen on 127.0.0.1, or set "
                f"{PREFIX}TRUST_NETWORK=true if the network itself is trusted (for example "
                f"inside a container)"
            )
        return self

    @property
    def demands_keys(self) -> bool:
        """Whether only those are answered who have a key."""
        if self.require_keys is not None:
            return self.require_keys
        return not self.is_loopback and not self.trust_network

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def resolved_database_url(self) -> str:
        """Where the store is: the URL that was set, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'batchscout.sqlite3'}"

    @property
    def artifacts(self) -> Path:
        """Where checkpoints lie, in one folder for each job."""
        return self.data_dir.absolute() / "artifacts"

    def places_of(self, job_id: str) -> Places:
        """Folders and permissions of one job's measurements."""
        return Places(
            artifacts=self.artifacts / job_id,
            file_roots=tuple(root.absolute() for root in self.file_roots),
            code_root=self.code_root.absolute() if self.code_root else None,
            entrypoint_prefixes=self.entrypoint_prefixes,
        )

    def environment(self) -> dict[str, str]:
        """Write these settings as the variables from which a child process reads them back.

        Returns:
            One entry for every field that is not null.
        """
        values: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                continue
            separator = os.pathsep if name == "file_roots" else ","
            text = separator.join(map(str, value)) if isinstance(value, tuple) else str(value)
            values[PREFIX + name.upper()] = text
        return values
