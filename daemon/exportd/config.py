"""Settings: defaults, then a TOML file, then the environment (DESIGN 1).

Everything unknown or wrong is reported at once; nothing is ignored.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from . import crash
from .errors import ConfigurationError

ENV_PREFIX = "EXPORTD_"
ENV_FILE = "EXPORTD_CONFIG"
DEFAULT_FILE = "exportd.toml"
CREDENTIAL = "database_url"  # of systemd, in $CREDENTIALS_DIRECTORY

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


class DatabaseSettings(BaseModel):
    """Where messages are stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_file: Path | None = None
    http_address: str = "127.0.0.1:9467"
    database: DatabaseSettings = DatabaseSettings()

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


def sources(file: Path | None = None) -> dict[str, str]:
    """Where each setting's value comes from: default, a file, or the environment."""
    path = file or _default_file()
    values = _read(path) if path else {}
    secret = _secret_file(values)
    found = {}
    for name in setting_names():
        section, _, key = name.rpartition(".")
        in_file = key in (values.get(section, {}) if section else values)
        found[name] = f"{path}" if in_file else "default"
        if os.environ.get(variable(name)):
            found[name] = variable(name)
    if secret:
        found["database.url"] = str(secret)
    return found


def load(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from ``file``, else $EXPORTD_CONFIG, else ./exportd.toml if there is one.

    ``overrides`` are what was given on the command line. Raises ``ConfigurationError``
    that names every wrong key, what was expected and where it was found.
    """
    path = file or _default_file()
    values = _read(path) if path else {}
    problems = [*_unknown_variables(), *_unknown_crash_point()]
    try:
        settings = Settings(**_with_secret(values))
    except ValidationError as error:
        problems += _problems(error, path, _secret_file(values))
    except ConfigurationError as error:
        problems.append(str(error))
    except SettingsError:
        # A whole section in one variable; it may hold a secret and is not quoted.
        problems = problems or ["environment: a value cannot be read"]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return settings.model_copy(update=dict(overrides or {}))


def _default_file() -> Path | None:
    if named := os.environ.get(ENV_FILE):
        return Path(named)
    # Not Path.exists: in a folder that may not be looked into, it raises.
    return Path(DEFAULT_FILE) if os.access(DEFAULT_FILE, os.F_OK) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not valid TOML: {error}") from error


def _with_secret(values: dict[str, Any]) -> dict[str, Any]:
    """The settings with the database's URL from a file of its own, where there is one."""
    section = values.get("database")
    if isinstance(section, dict) and {"url", "url_file"} <= section.keys():
        raise ConfigurationError("[database] has url and url_file; expected one of them")
    if (file := _secret_file(values)) is None or not isinstance(section or {}, dict):
        return values
    return {**values, "database": {**(section or {}), "url": _read_secret(file)}}


def _secret_file(values: Mapping[str, Any]) -> Path | None:
    """The first that applies: environment, systemd credential, settings file."""
    if os.environ.get(variable("database.url")):
        return None
    if named := os.environ.get(variable("database.url_file")):
        return Path(named)
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"), CREDENTIAL)
    if os.access(credential, os.F_OK):
        return credential
    section = values.get("database")
    named = section.get("url_file") if isinstance(section, dict) else None
    return Path(named) if isinstance(named, str) else None


def _read_secret(file: Path) -> str:
    """What stands in the file, but for white space around it."""
    if ":/" in str(file):
        raise ConfigurationError(
            f"{variable('database.url_file')}, or url_file in [database]: expected the path of "
            "a file that has the URL, found a URL"
        )
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise ConfigurationError(
            f"{file}: cannot be read ({why}); expected a file with the database's URL"
        ) from None
    if not text:
        raise ConfigurationError(f"{file}: is empty; expected the database's URL")
    return text


def setting_names() -> list[str]:
    """Every setting as it stands in the file, sections with a dot."""
    names = []
    for name, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += [f"{name}.{inner}" for inner in info.annotation.model_fields]
        else:
            names.append(name)
    return names


def variable(name: str) -> str:
    """The environment variable of a setting: ``database.url`` is EXPORTD_DATABASE_URL."""
    return ENV_PREFIX + name.replace(".", "_").upper()


def _unknown_variables() -> Iterator[str]:
    known = {variable(name) for name in setting_names()} | {ENV_FILE, crash.VARIABLE}
    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and name not in known:
            yield f"environment: {name}: unknown setting{_suggestion(name, known)}"


def _unknown_crash_point() -> Iterator[str]:
    if asked := os.environ.get(crash.VARIABLE):
        try:
            crash.parse(asked)
        except ValueError as error:
            yield f"environment: {crash.VARIABLE}: {error}"


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _problems(error: ValidationError, path: Path | None, secret: Path | None) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(map(str, problem["loc"]))
        if name == "database.url" and secret:
            yield f"{secret}: {_plain(problem['msg'])}"
            continue
        if problem["type"] == "extra_forbidden":
            if variable(name) in os.environ:
                continue  # told as an unknown variable
            yield f"{path}: {name}: unknown setting{_suggestion(name, set(setting_names()))}"
            continue
        where = variable(name) if variable(name) in os.environ else name
        source = "environment" if where != name else path
        yield f"{source}: {where}: {_plain(problem['msg'])}"


def _plain(message: str) -> str:
    message = message.replace("Input should", "should").replace("Value error, ", "")
    return "should be a path" if "is not a valid path" in message else message
