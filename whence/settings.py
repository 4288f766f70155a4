"""Typed settings: a section of params.yaml, checked against the class beside the code that uses it."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from whence.errors import InputError

PARAMS = Path("params.yaml")


class Section(BaseModel):
    """Base of every settings class: no unknown keys, no missing keys, no silent conversion, no change afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


S = TypeVar("S", bound=Section)


def read(params: Path = PARAMS) -> dict[str, Any]:
    """Return the whole of params.yaml as a dictionary; raises InputError if it is not one."""
    try:
        content = yaml.load(params.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise InputError(f"{params}: cannot be read ({error.strerror}); run from the repository's root") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{params}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{params}: expected sections such as 'train:', got {type(content).__name__}")
    return content


def value(section: str, params: Path = PARAMS) -> Any:
    """Return what stands at a dotted path such as 'train.logistic'; raises InputError that names the missing key."""
    found: Any = read(params)
    for depth, key in enumerate(section.split(".")):
        if not isinstance(found, dict) or key not in found:
            where = ".".join(section.split(".")[:depth]) or "the top level"
            keys = ", ".join(map(str, found)) if isinstance(found, dict) else repr(found)
            raise InputError(f"{params}: '{section}' is missing: {where} holds {keys}")
        found = found[key]
    return found


def load(section: str, cls: type[S], params: Path = PARAMS) -> S:
    """Return the section at a dotted path as `cls`; raises InputError that names every wrong key and value."""
    return check(value(section, params), cls, f"{params}: {section}")


def check(content: Any, cls: type[S], where: str) -> S:
    """Return `content` as `cls`; raises InputError that starts with `where` and names every wrong key and value."""
    try:
        return cls.model_validate(content)
    except ValidationError as error:
        complaints = [_explain(where, detail, cls) for detail in error.errors()]
        raise InputError("\n".join(complaints)) from error


def _explain(where: str, detail: Any, cls: type[Section]) -> str:
    key = ".".join([where, *map(str, detail["loc"])])
    match detail["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; known ones: {', '.join(cls.model_fields) or 'none'}"
        case "missing":
            return f"{key}: missing; add it"
    hint = ""
    if isinstance(detail["input"], str):
        try:
            hint = f" (YAML reads {detail['input']} as text; write {float(detail['input']):.1e} as 1.0e-3 is written)"
        except ValueError:
            hint = ""
    return f"{key}: got {detail['input']!r}: {detail['msg']}{hint}"
