"""Objects of the user, named as ``module:object``: imported, and identified by their source."""

import hashlib
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from hopgym.errors import ArgumentError


def load_object(name: str, option: str, kind: str) -> tuple[ModuleType, Any]:
    """Return the module and the object that a name stands for.

    The module may also be a file in the working directory.

    Args:
        name: ``module:object``; dots in the object's name read attributes.
        option: The option that names it, for errors.
        kind: What it should be, for errors, such as ``function``.

    Raises:
        ArgumentError: When the module cannot be imported, or has no such object.
    """
    module_name, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(module_name.removesuffix(".py"))
        value: Any = module
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ArgumentError(
            f"{option} must name a {kind} as module:{kind}, got {name!r} ({error})"
        ) from error
    except (Exception, SystemExit) as error:  # Importing a module can raise anything.
        raise ArgumentError(
            f"{option} must name a {kind} of a module that can be imported, got {name!r}; "
            f"importing {module_name} raised {error_text(error)}"
        ) from error
    return module, value


def source_digest(module: ModuleType | None) -> str:
    """Return 16 hex digits of a module's file; another version of it is another object.

    A module without a file has none, such as a notebook or executed code: the result is empty.
    """
    file = getattr(module, "__file__", None)
    if not file or not Path(file).is_file():
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]


def error_text(error: BaseException) -> str:
    """Return type and message of an error on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
