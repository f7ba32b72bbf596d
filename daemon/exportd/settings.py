"""What can be set: names, types, defaults and limits; ``config.example.toml`` tells each."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .alerts.rules import RULES
from .models import Severity

ENV_PREFIX = "EXPORTD_"

_DATABASE_URL = re.compile(
    r"postgres(?:ql)?://"
    r"(?:[^@:/?#\[\]]*(?::[^@:/?#\[\]]*)?@)?"  # user:password@
    r"(?:\[[0-9a-fA-F:.%]+\]|[^@:/?#\[\]]*)(?::\d*)?"  # host:port
    r"(?:,[^@:/?#\[\],]*(?::\d*)?)*"  # more hosts
    r"(?:/[^@/?#]*)?(?:\?[^@#]*)?"
)
# A port of 65,535 at most; 0 is any free one, which the log names.
_ADDRESS = re.compile(
    r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):"
    r"(?:[0-5]?\d{1,4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"
)
_DSN = re.compile(r"\s*\w+\s*=")

_Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of the file; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseSettings(Section):
    """Where messages are stored."""

    url: SecretStr | None = None
    url_file: Path | None = None
    auto_migrate: bool = True
    timeout: _Seconds = 300.0

    @field_validator("url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        """A URL, or libpq's own ``key=value`` form; libpq judges the rest.

        A password with a sign that means something in a URL would end up in the host's
        place, and from there in messages.
        """
        text = url.get_secret_value() if url else ""
        if url and not _DATABASE_URL.fullmatch(text) and not _DSN.match(text):
            raise ValueError(
                "should be postgresql://user:password@host:port/database, with the signs "
                "@ : / ? # [ ] % in the password percent-encoded"
            )
        return url


# The least severity that a channel is told of; "escalation": only what nobody acknowledged
# elsewhere, and what another channel refused.
_Least = Literal["info", "warning", "critical", "escalation"]
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"


class AlertSettings(Section):
    """When people are told, whatever the channel."""

    group_wait: Annotated[float, Field(ge=0, le=60)] = 5.0
    repeat_interval: _Seconds = 86_400.0
    escalate_after: _Seconds = 900.0
    quiet_hours: str = "off"
    digest_time: str = "09:00"
    no_export_days: Annotated[int, Field(ge=0, le=365)] = 7
    files_waiting_after: _Seconds = 300.0
    disk_free_percent: Annotated[float, Field(ge=0, le=99)] = 10.0
    slow_ingest: _Seconds = 10.0
    large_export_bytes: Annotated[int, Field(gt=0)] = 10 * 1024 * 1024
    low_deduplication: Annotated[float, Field(ge=0, le=1)] = 0.5
    disabled: str = ""

    @property
    def digest_at(self) -> time | None:
        """When the summary of the day is told, in local time; None for never."""
        return None if self.digest_time == "off" else time.fromisoformat(self.digest_time)

    @field_validator("quiet_hours")
    @classmethod
    def _are_hours(cls, text: str) -> str:
        if not re.fullmatch(rf"off|{_CLOCK}-{_CLOCK}", text):
            raise ValueError('should be two times as "22:00-07:00", or "off"')
        return text

    @field_validator("digest_time")
    @classmethod
    def _is_time(cls, text: str) -> str:
        if not re.fullmatch(rf"off|{_CLOCK}", text):
            raise ValueError('should be a time as "09:00", or "off"')
        return text

    @field_validator("disabled")
    @classmethod
    def _are_rules(cls, text: str) -> str:
        for kind in names(text):
            if kind not in RULES:
                raise ValueError(f"{kind!r} is no rule; expected some of {', '.join(RULES)}")
        return text


class _ChannelSettings(Section):
    min_severity: _Least = "warning"

    @property
    def least(self) -> Severity | None:
        """None where only what is escalated is told."""
        return None if self.min_severity == "escalation" else Severity(self.min_severity)


class SlackSettings(_ChannelSettings):
    """A bot's token and its channel, or an incoming webhook."""

    token: SecretStr | None = None
    token_file: Path | None = None
    channel: str = ""
    webhook_url: SecretStr | None = None
    webhook_url_file: Path | None = None
    api_url: str = "https://slack.com/api/"

    @field_validator("api_url")
    @classmethod
    def _is_base(cls, url: str) -> str:
        if not re.fullmatch(r"https?://.+/", url):
            raise ValueError('should be as "https://slack.com/api/", with a / at its end')
        return url

    @model_validator(mode="after")
    def _is_one(self) -> SlackSettings:
        if self.token and self.webhook_url:
            raise ValueError("has token and webhook_url; expected one of them")
        if self.token and not self.channel:
            raise ValueError('has a token and no channel; expected channel = "#alerts"')
        return self


class MailSettings(_ChannelSettings):
    """A mail server that takes messages from us."""

    host: str = ""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Literal["starttls", "ssl", "none"] = "starttls"
    ca_file: Path | None = None
    user: str = ""
    password: SecretStr | None = None
    password_file: Path | None = None
    sender: str = ""
    recipients: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> MailSettings:
        if self.host and not (self.sender and names(self.recipients)):
            raise ValueError("has a host; expected sender and recipients as well")
        if (self.sender or names(self.recipients)) and not self.host:
            raise ValueError("has a sender or recipients and no host; expected all three")
        return self


class WebhookSettings(_ChannelSettings):
    """An address that takes what Alertmanager would send to a webhook."""

    url: SecretStr | None = None
    url_file: Path | None = None
    token: SecretStr | None = None
    token_file: Path | None = None


def names(text: str) -> list[str]:
    """What stands between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def hours(text: str) -> tuple[time, time] | None:
    """``22:00-07:00`` as two times of day; None for ``off``."""
    if text == "off":
        return None
    start, _, end = text.partition("-")
    return time.fromisoformat(start), time.fromisoformat(end)


class Settings(BaseSettings):
    """All settings; ``config.example.toml`` documents each with its default."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
    )

    memory_dir: Path = Path("MEMORY-CONTEXT")
    settle_time: _Seconds = 1.0
    rescan_interval: _Seconds = 60.0
    empty_timeout: _Seconds = 600.0
    max_export_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    max_line_bytes: Annotated[int, Field(ge=1000)] = 64 * 1024 * 1024
    max_json_depth: Annotated[int, Field(ge=10, le=500)] = 100
    max_messages: Annotated[int, Field(gt=0)] = 1_000_000
    parse_timeout: _Seconds = 300.0
    disk_reserve_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    status_log_max_bytes: Annotated[int, Field(ge=10_000)] = 1_000_000
    status_log_backups: Annotated[int, Field(ge=0, le=1000)] = 5
    compress_after: Annotated[float, Field(ge=0, le=36_500)] = 0.0
    keep_failed_days: Annotated[float, Field(ge=0, le=36_500)] = 0.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_file: Path | None = None
    http_address: str = "127.0.0.1:9467"
    database: DatabaseSettings = DatabaseSettings()
    alerts: AlertSettings = AlertSettings()
    slack: SlackSettings = SlackSettings()
    mail: MailSettings = MailSettings()
    webhook: WebhookSettings = WebhookSettings()

    @field_validator("http_address")
    @classmethod
    def _is_address(cls, text: str) -> str:
        if text != "off" and not _ADDRESS.fullmatch(text):
            raise ValueError('should be HOST:PORT, [::1]:PORT or "off"')
        return text

    @property
    def http(self) -> tuple[str, int] | None:
        """Host and port of ``http_address``; None where it is off."""
        if self.http_address == "off":
            return None
        host, _, port = self.http_address.rpartition(":")
        return host.strip("[]"), int(port)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which comes as keyword arguments.

        pydantic-settings hands over five sources by these names; two are ours.
        """
        return env_settings, init_settings
