"""JSON files of runs: written whole, with the version of their layout and a checksum."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hopgym.errors import DataError
from hopgym.runs.line_file import whole_file
from hopgym.version import __version__

SCHEMA = 2
"""Version of the layout of trajectory files, run folders and study folders."""


def check_schema(place: str | Path, content: Mapping[str, Any]) -> None:
    """Raise unless a file was written with the current `SCHEMA`.

    Args:
        place: The file, or a place in it, for messages.
        content: What it holds, with ``schema`` and, where known, ``version`` of hopgym.

    Raises:
        DataError: When the schema is missing or another one.
    """
    schema = content.get("schema")
    if schema == SCHEMA and not isinstance(schema, bool):
        return
    version = content.get("version", content.get("code"))
    writer = f" of hopgym {version!s:.40}" if version else ""
    raise DataError(
        f"{place}: expected schema {SCHEMA} of hopgym {__version__}, got "
        f"{'none' if schema is None else repr(schema)[:40]}{writer}; use the version of hopgym "
        "that wrote it, or do the run again in another place"
    )


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON; a kill leaves the old file or the new one, never a part."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    with whole_file(path, "--out") as file:
        file.write(f"{text}\n".encode())


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, or None when there is no such file.

    Raises:
        DataError: When the file holds something else.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DataError(f"{path}: expected JSON, got something else ({error})") from error


def write_checked_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with ``schema`` and ``checksum`` as its first keys."""
    plain = json.loads(json.dumps(value))  # With its keys as they will be read back.
    write_json(path, {"schema": SCHEMA, "checksum": _checksum(plain), **plain})


def read_checked_json(path: Path) -> dict[str, Any] | None:
    """Return the object that `write_checked_json` wrote, or None when there is no such file.

    Raises:
        DataError: When the file has another schema, is damaged, or holds something else.
    """
    content = read_json(path)
    if content is None:
        return None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, got {content!r:.80}")
    check_schema(path, content)
    value = {name: item for name, item in content.items() if name not in ("schema", "checksum")}
    if content.get("checksum") != _checksum(value):
        raise DataError(
            f"{path}: expected a file with the checksum of its content, got one that has been "
            "changed; remove it, and run the command that wrote it again"
        )
    return value


def _checksum(value: Mapping[str, Any]) -> str:
    """Return 8 hex digits for the content of an object, whatever the order of its keys."""
    return f"{zlib.crc32(json.dumps(value, sort_keys=True).encode()):08x}"
