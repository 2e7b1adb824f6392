"""Typed settings from plain values: what TOML files, checkpoints and the command line hold."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

T = TypeVar("T")

USUAL_NAMES = {
    "batch_size": "batch",
    "decay": "weight_decay",
    "learning_rate": "lr",
    "num_workers": "workers",
    "rate": "lr",
    "size": "sizes",
}
"""What a setting is called elsewhere, and its name here."""


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build a dataclass from a table of plain values; what is not named keeps its default.

    Lists become tuples, tables become the dataclasses they stand for, whole numbers become floats where floats are
    wanted, and "none" becomes None where that may be: TOML has no word for it. Nothing else is converted: a wrong type
    is an error, and so is a name that does not exist.

    Args:
        cls: A dataclass of plain values, tuples and dataclasses like itself.
        values: A table by field names.
        where: What the table is called in messages.

    Raises:
        ValueError: A name or a value does not fit; the message says where and what would.
    """
    values = renamed(cls, values)
    hints = typing.get_type_hints(cls)
    fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        meant = _meant(unknown[0], where, fields, hints)
        way_out = f"did you mean {meant}?" if meant else f"there are {', '.join(fields)}"
        raise ValueError(f"{where or 'the configuration'} has no setting '{unknown[0]}'; {way_out}")
    for each in dataclasses.fields(cls):  # type: ignore[arg-type]
        if each.name not in values and each.default is each.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where or 'the configuration'} lacks '{each.name}'")
    built = {name: _value(hints[name], value, f"{where}.{name}".lstrip(".")) for name, value in values.items()}
    return cls(**built)


def _meant(name: str, where: str, fields: list[str], hints: Mapping[str, Any]) -> str:
    """Return the setting that a name which does not exist was probably to be; empty if there is no good guess."""
    sections = [f for f in fields if dataclasses.is_dataclass(hints[f])]
    there = {x.name: f"{f}.{x.name}" for f in sections for x in dataclasses.fields(hints[f])}
    there |= {f: f"{where}.{f}".lstrip(".") for f in fields if f not in sections}
    for guess in (name, USUAL_NAMES.get(name, name), *difflib.get_close_matches(name, there, n=1, cutoff=0.75)):
        if guess in there:
            return there[guess]
    return ""


def renamed(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with names that settings had before replaced by those that they have now.

    A field that was renamed says so in its metadata: ``field(default=…, metadata={"was": "its old name"})``. Files,
    checkpoints and command lines that hold the old name go on working.

    Args:
        cls: As for :func:`from_dict`.
        values: A table by field names; tables within it are translated too.

    Raises:
        ValueError: A setting is given under both of its names.
    """
    hints = typing.get_type_hints(cls)
    now = {f.metadata["was"]: f.name for f in dataclasses.fields(cls) if "was" in f.metadata}
    result: dict[str, Any] = {}
    for old, value in values.items():
        name = now.get(old, old)
        if name in result:
            raise ValueError(f"'{name}' was called '{next(o for o, n in now.items() if n == name)}': give it once")
        inner = hints.get(name)
        if dataclasses.is_dataclass(inner) and isinstance(value, Mapping):
            value = renamed(typing.cast(type[Any], inner), value)
        result[name] = value
    return result


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        if dataclasses.is_dataclass(value):
            return value
        if isinstance(value, Mapping):
            return from_dict(typing.cast(type[Any], kind), value, where)
    elif origin in (Union, types.UnionType):
        if value in (None, "none") and type(None) in arguments:
            return None
        return _value(next(a for a in arguments if a is not type(None)), value, where)
    elif origin is Literal:
        if value in arguments:
            return value
        raise ValueError(f"{where} is {value!r}; it may be {', '.join(map(repr, arguments))}")
    elif origin is tuple:
        if isinstance(value, (list, tuple)):
            if arguments[1:] == (...,):
                return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
            if len(value) == len(arguments):
                pairs = zip(arguments, value, strict=True)
                return tuple(_value(a, item, f"{where}[{i}]") for i, (a, item) in enumerate(pairs))
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif type(value) is kind:
        return value
    raise ValueError(f"{where} is {value!r}; it must be {_wanted(kind, where)}")


def _wanted(kind: Any, where: str) -> str:
    if dataclasses.is_dataclass(kind):
        return f"a section: set {where}.{dataclasses.fields(kind)[0].name} and the like"
    if typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        each = kinds[:1] if kinds[1:] == (...,) else kinds
        return "a list of " + " and ".join(_wanted(k, where) for k in each)
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names.get(kind, str(kind))
