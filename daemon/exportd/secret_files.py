"""Secrets that stand in files of their own, so that no settings file and no ``ps`` has them.

Each secret ``x`` may be given as ``x`` or as ``x_file``, in the environment or in the settings
file, or as a systemd credential of its name. The first that applies counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigurationError
from .settings import ENV_PREFIX

# Each with the name of its credential, in $CREDENTIALS_DIRECTORY.
SECRETS = {
    "database.url": "database_url",
    "slack.token": "slack_token",
    "slack.webhook_url": "slack_webhook_url",
    "mail.password": "mail_password",
    "webhook.url": "webhook_url",
    "webhook.token": "webhook_token",
}


def variable(name: str) -> str:
    """The environment variable of a setting: ``database.url`` is EXPORTD_DATABASE_URL."""
    return ENV_PREFIX + name.replace(".", "_").upper()


def secret_files(values: Mapping[str, Any]) -> dict[str, Path]:
    """The secrets that come from files, by name; ``values`` are those of the settings file."""
    found = {name: _file_of(name, values) for name in SECRETS}
    return {name: path for name, path in found.items() if path is not None}


def with_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with what the files of secrets have.

    Raises ``ConfigurationError`` where one cannot be read, or a secret is given twice.
    """
    merged = dict(values)
    for name in SECRETS:
        section, _, key = name.partition(".")
        given = merged.get(section, {})
        if not isinstance(given, dict):
            continue  # told as a wrong setting
        if {key, f"{key}_file"} <= given.keys():
            raise ConfigurationError(
                f"[{section}] has {key} and {key}_file; expected one of them"
            )
        if file := _file_of(name, values):
            merged[section] = {**given, key: _read(file, name)}
    return merged


def _file_of(name: str, values: Mapping[str, Any]) -> Path | None:
    """The first that applies: environment, systemd credential, settings file."""
    if os.environ.get(variable(name)):
        return None
    if named := os.environ.get(f"{variable(name)}_FILE"):
        return Path(named)
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"), SECRETS[name])
    if os.access(credential, os.F_OK):
        return credential
    section, _, key = name.partition(".")
    given = values.get(section)
    named = given.get(f"{key}_file") if isinstance(given, dict) else None
    return Path(named) if isinstance(named, str) else None


def _read(file: Path, name: str) -> str:
    """What stands in the file, but for white space around it."""
    section, _, key = name.partition(".")
    if ":/" in str(file):
        raise ConfigurationError(
            f"{variable(name)}_FILE, or {key}_file in [{section}]: expected the path of a file "
            "that has the URL, found a URL"
        )
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise ConfigurationError(
            f"{file}: cannot be read ({why}); expected a file with {key} of [{section}]"
        ) from None
    if not text:
        raise ConfigurationError(f"{file}: is empty; expected {key} of [{section}]")
    return text
