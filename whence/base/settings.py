"""Typed settings: a section of params.yaml, checked against the class beside the code that uses it."""

import copy
import functools
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from whence.base.errors import InputError

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without its C extension: slower, the same otherwise.
    from yaml import SafeLoader  # type: ignore[assignment]

PARAMS = Path("params.yaml")


class Section(BaseModel):
    """Base of every settings class: no unknown keys, no missing keys, no silent conversion, no change afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=BaseModel)


class _Loader(SafeLoader):
    """YAML with the floats of version 1.2, as DVC reads and writes them: `dvc exp run -S` leaves 1e-05 behind."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read(params: Path = PARAMS) -> dict[str, Any]:
    """Return the whole of params.yaml as a dictionary; raises InputError if it is not one, or a key stands twice."""
    return copy.deepcopy(_read(params))


def _read(params: Path) -> dict[str, Any]:
    try:
        return _parsed(params.read_text(encoding="utf-8"), str(params))
    except OSError as error:
        raise InputError(f"{params}: cannot be read ({error.strerror}); run from the repository's root") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{params}: not valid YAML: {error}") from error


@functools.lru_cache(maxsize=8)
def _parsed(text: str, params: str) -> dict[str, Any]:
    """Return what a text says, which is not to be changed: a stage that asks for ten sections parses once."""
    stream = io.StringIO(text)
    vars(stream)["name"] = params  # messages of PyYAML say where
    try:
        loader = _Loader(stream)
        node = loader.get_single_node()
        twice = list(_twice(node))
        content = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{params}: not valid YAML: {error}") from error
    if twice:
        raise InputError("\n".join(f"{params}: {key} stands twice; keep one of them" for key in twice))
    if not isinstance(content, dict):
        raise InputError(f"{params}: expected sections such as 'train:', got {type(content).__name__}")
    return content


def _twice(node: yaml.Node | None, where: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted path and line of every repeated key: PyYAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, child in node.value:
            path = (*where, str(key.value))
            if (key.tag, path) in seen:
                yield f"{'.'.join(path)} (line {key.start_mark.line + 1})"
            seen.add((key.tag, path))
            yield from _twice(child, path)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _twice(child, where)


def value(section: str, params: Path = PARAMS) -> Any:
    """Return what stands at a dotted path such as 'train.logistic'; raises InputError that names the missing key."""
    found: Any = _read(params)
    for depth, key in enumerate(section.split(".")):
        if not isinstance(found, dict) or key not in found:
            where = ".".join(section.split(".")[:depth]) or "the top level"
            keys = ", ".join(map(str, found)) or "nothing" if isinstance(found, dict) else repr(found)
            raise InputError(f"{params}: '{section}' is missing: {where} holds {keys}")
        found = found[key]
    return copy.deepcopy(found)


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


def _explain(where: str, detail: Any, cls: type[BaseModel]) -> str:
    key = ".".join([where, *map(str, detail["loc"])])
    match detail["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; known ones: {', '.join(_known(cls, detail['loc'][:-1])) or 'none'}"
        case "missing":
            return f"{key}: missing; add it"
        case "int_type" | "float_type" if _is_number(detail["input"]):
            return f"{key}: got {detail['input']!r}: {detail['msg']} (this is text; write it without quotes)"
    return f"{key}: got {detail['input']!r}: {detail['msg']}"


def _known(kind: Any, path: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the settings class that stands at `path` within `kind`."""
    for key in path:
        fields = getattr(kind, "model_fields", None)
        if fields and "root" in fields:
            kind, fields = fields["root"].annotation, None
        kind = fields[key].annotation if fields else get_args(kind)[-1]
    return list(kind.model_fields)


def _is_number(text: Any) -> bool:
    try:
        return isinstance(text, str) and math.isfinite(float(text))
    except ValueError:
        return False
