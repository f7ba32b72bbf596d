"""Settings: defaults, then a TOML file, then the environment (DESIGN 1).

Everything unknown or wrong is reported at once; nothing is ignored.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from . import crash
from .errors import ConfigurationError
from .secret_files import secret_files, variable, with_secrets
from .settings import ENV_PREFIX, Settings

ENV_FILE = "EXPORTD_CONFIG"
DEFAULT_FILE = "exportd.toml"


def sources(file: Path | None = None) -> dict[str, str]:
    """Where each setting's value comes from: default, a file, or the environment."""
    path = file or _default_file()
    values = _read(path) if path else {}
    found = {}
    for name in setting_names():
        section, _, key = name.rpartition(".")
        within = values.get(section, {}) if section else values
        in_file = isinstance(within, dict) and key in within
        found[name] = f"{path}" if in_file else "default"
        if os.environ.get(variable(name)):
            found[name] = variable(name)
    return found | {name: str(secret) for name, secret in secret_files(values).items()}


def load(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from ``file``, else $EXPORTD_CONFIG, else ./exportd.toml if there is one.

    ``overrides`` are what was given on the command line. Raises ``ConfigurationError``
    that names every wrong key, what was expected and where it was found.
    """
    path = file or _default_file()
    values = _read(path) if path else {}
    problems = [*_unknown_variables(), *_unknown_crash_point()]
    try:
        settings = Settings(**with_secrets(values))
    except ValidationError as error:
        problems += _problems(error, path, secret_files(values))
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


def setting_names() -> list[str]:
    """Every setting as it stands in the file, sections with a dot."""
    names = []
    for name, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += [f"{name}.{inner}" for inner in info.annotation.model_fields]
        else:
            names.append(name)
    return names


def _sections() -> set[str]:
    return {section for section, dot, _ in (n.rpartition(".") for n in setting_names()) if dot}


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


def _problems(
    error: ValidationError, path: Path | None, secrets: Mapping[str, Path]
) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(map(str, problem["loc"]))
        if name in secrets:
            yield f"{secrets[name]}: {_plain(problem['msg'])}"
            continue
        if problem["type"] == "model_type" and name in _sections():
            yield (
                f"{path}: {name}: is a section; expected a line [{name}], its settings below it"
            )
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
