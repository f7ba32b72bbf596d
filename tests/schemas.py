"""What a command prints with ``--json``, held against its documented schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parent.parent / "docs" / "reference" / "schemas"


def conforming(name: str, text: str) -> Any:
    """The JSON ``text``, which is as ``docs/reference/schemas/NAME.schema.json`` says.

    A schema names every property (``additionalProperties`` false) and describes it.
    """
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    found = json.loads(text)
    Draft202012Validator(schema).validate(found)
    return found
