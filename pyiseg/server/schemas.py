"""What the JSON of the API looks like, as JSON Schema."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pyiseg import saving
from pyiseg.server import limits
from pyiseg.server.limits import Limits


def ref(name: str, kind: str = "schemas") -> dict[str, Any]:
    """Return a reference to a component of the description."""
    return {"$ref": f"#/components/{kind}/{name}"}


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = (), closed: bool = False) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        made["required"] = required
    return made | ({"additionalProperties": False} if closed else {})


def _tuple(*items: dict[str, Any], least: int | None = None) -> dict[str, Any]:
    size = {"minItems": len(items) if least is None else least, "maxItems": len(items)}
    return {"type": "array", "prefixItems": list(items), **size}


_TEXT, _COUNT, _NUMBER, _TRUTH = (
    {"type": "string"},
    {"type": "integer", "minimum": 0},
    {"type": "number"},
    {"type": "boolean"},
)
_NAME = {"type": "string", "maxLength": limits.MOST_NAME}
_MS = {"type": "number", "description": "Time that the server took, in milliseconds"}
_RECT = _tuple(_COUNT, _COUNT, _COUNT, _COUNT) | {"description": "top, left, bottom, right"}
_CLICK = _tuple(_NUMBER, _NUMBER, {"type": "boolean", "description": "Selects, or removes"}, least=2)
_POINT = _tuple(_NUMBER, _NUMBER)

_OBJECT = {
    "id": _TEXT,
    "name": _NAME,
    "color": ref("Color"),
    "version": _COUNT | {"description": "Grows by one with each step"},
    "prompts": {"type": "array", "items": {"anyOf": [ref("Prompt"), _object({"mask": {"const": True}})]}},
    "can_undo": _TRUTH,
    "can_redo": _TRUTH,
    "bounds": {
        "anyOf": [_RECT, {"type": "null"}],
        "description": "Where alpha is not 0; null where it is 0 everywhere",
    },
}

SCHEMAS: dict[str, Any] = {
    "Error": _object({"error": _object({"type": _TEXT, "message": _TEXT})}),
    "Color": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"},
    "Info": _object(
        {
            "version": _TEXT,
            "model": _TEXT,
            "device": _TEXT,
            "initial": {"type": ["string", "null"], "description": "The image that is open from the beginning"},
            "memory_used": _COUNT,
            "images": _COUNT,
            "sockets": _COUNT,
            "max_json": _COUNT,
            **{field.name: _COUNT for field in fields(Limits)},
        }
    ),
    "Image": _object(
        {
            "id": _TEXT,
            "name": _NAME,
            "width": _COUNT,
            "height": _COUNT,
            "transparent": _TRUTH,
            "objects": {"type": "array", "items": ref("Object")},
            "ms": _MS,
        }
    ),
    "Object": _object(_OBJECT),
    "Step": _object(
        {**_OBJECT, "changed": _RECT | {"description": "Where alpha changed; all zeros: nowhere"}, "ms": _MS}
    ),
    "Prompt": {
        "oneOf": [
            _object({"click": _CLICK}, closed=True),
            _object({"local": _CLICK | {"description": "Changes only what is connected to it"}}, closed=True),
            _object(
                {"box": _tuple(_NUMBER, _NUMBER, _NUMBER, _NUMBER) | {"description": "x0, y0, x1, y1"}}, closed=True
            ),
            _object(
                {
                    "scribble": {"type": "array", "items": _POINT, "minItems": 1, "maxItems": saving.MOST_POINTS},
                    "fg": _TRUTH | {"default": True},
                },
                optional=("fg",),
                closed=True,
            ),
        ]
    },
    "Change": _object({"name": _NAME, "color": ref("Color")}, optional=("name", "color"), closed=True),
    "Removal": _object(
        {"index": {"type": "integer", "description": "Of prompts; negative ones count from the end"}}, closed=True
    ),
    "Project": _object(
        {
            "format": {"const": "pyiseg objects"},
            "version": {"const": 1},
            "objects": {
                "type": "array",
                "items": _object(
                    {"name": _NAME, "color": ref("Color"), "session": {"type": "object"}}, optional=("name", "color")
                ),
            },
        }
    ),
}
