"""Is a document one that can be read, and where is it wrong if it is not?

Only those places are looked at that this package reads. The others may hold whatever JSON can.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import unquote

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""The methods that a document can have (OpenAPI 3.1 §4.8.9). Swagger 2.0 has no TRACE."""

_QUERY, _OTHERS = "query", "additionalOperations"  # since OpenAPI 3.2, §4.9

Document = Mapping[str, Any]
"""A document, or a part of one, as `json.loads` returns it."""

_MAX_VALUES, _MAX_DEPTH = 1_000_000, 100

_Place = tuple[str, ...]
"""The names that lead from the document to one of its values."""


def read(document: object) -> dict[str, Any]:
    """Return a copy of a document after a look at its form, so that whoever reads it need not look.

    A path or a security scheme that refers to another place is replaced with what is there. Raises
    ValueError if something is not as OpenAPI says, and names its place as a JSON pointer (RFC 6901
    §6).
    """
    new: dict[str, Any] = copied(document)
    _check(new, _DOCUMENT, ())
    for place, name, part, form in _referring(new):
        part[name] = _inlined(new, part[name], (*place, name))
        _check(part[name], form, (*place, name))
        for method in part[name] if form is _ITEM else ():
            written = method.lower()
            if method != written and written in (*METHODS, _QUERY):
                raise _wrong((*place, name, method), f"has to be written {written}")
    return new


def operations_of(item: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the operations of a path, with their methods in small letters."""
    for method in (*METHODS, _QUERY):
        if method in item:
            yield method, item[method]
    for method, operation in item.get(_OTHERS, {}).items():
        yield method.lower(), operation


def copied(value: Any) -> Any:
    """Return a copy as JSON can have it, in which no two places share a value.

    Names that YAML made numbers become texts, and so do its dates. Raises ValueError for what JSON
    cannot have, and for more than a million values: a few lines of YAML can make as many.
    """
    return _Copying().copied(value, ())


class _Copying:
    """Copies values, and counts them."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES

    def copied(self, value: Any, place: _Place) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"the document has more than {_MAX_VALUES:,} values")
        if len(place) > _MAX_DEPTH:
            raise _wrong(place[:5], f"holds values in values, more than {_MAX_DEPTH} levels deep")
        if isinstance(value, Mapping):
            new = {
                str(name): self.copied(each, (*place, str(name))) for name, each in value.items()
            }
            if len(new) < len(value):
                raise _wrong(place, "has a name twice, as a text and as a number")
            return new
        if isinstance(value, list | tuple):
            return [self.copied(each, (*place, str(at))) for at, each in enumerate(value)]
        if isinstance(value, date):  # or a datetime
            return value.isoformat()
        finite = not isinstance(value, float) or math.isfinite(value)
        if not finite or not isinstance(value, str | int | float | None):
            raise _wrong(place, f"is {value!r:.50}, which JSON does not have")
        return value


class _Object(NamedTuple):
    """The form of an object: the form of some members, that of all others, and what is needed."""

    members: Mapping[str, Any] = {}
    others: Any = None
    needs: tuple[str, ...] = ()


_ANY = _Object()
_PARAMETERS = [_Object({"name": str, "in": str})]
_VARIABLE = _Object({"default": str}, needs=("default",))
_SERVERS = [_Object({"url": str, "variables": _Object(others=_VARIABLE)}, needs=("url",))]
_OPERATION = _Object(
    {
        "operationId": str,
        "parameters": _PARAMETERS,
        "responses": _Object(dict.fromkeys(("401", "403", "503"), _Object({"headers": _ANY}))),
        "security": [_Object(others=[str])],
        "servers": _SERVERS,
    }
)
_ITEM = _Object(
    {
        **dict.fromkeys((*METHODS, _QUERY), _OPERATION),
        _OTHERS: _Object(others=_OPERATION),
        "parameters": _PARAMETERS,
        "servers": _SERVERS,
    }
)
_DOCUMENT = _Object(
    {
        "basePath": str,
        "openapi": str,
        "swagger": str,
        "paths": _ANY,
        "servers": _SERVERS,
        "tags": [_Object({"name": str})],
        **dict.fromkeys(("definitions", "responses", "securityDefinitions"), _ANY),
        "components": _Object(dict.fromkeys(("responses", "schemas", "securitySchemes"), _ANY)),
    }
)
"""A form is one of these, or `str`, or a list with the form of its values."""


def _check(value: Any, form: Any, place: _Place) -> None:
    """Raise ValueError unless a value has a form."""
    wanted: Any = dict if isinstance(form, _Object) else str if form is str else list
    if not isinstance(value, wanted):
        raise _wrong(place, f"is {_kind(value)}, and has to be {_KINDS[wanted]}")
    if isinstance(form, list):
        for at, each in enumerate(value):
            _check(each, form[0], (*place, str(at)))
    elif isinstance(form, _Object):
        for name in form.needs:
            if name not in value:
                raise _wrong(place, f"lacks {name}")
        for name, each in value.items():
            inner = form.members.get(name, form.others)
            if inner is not None:
                _check(each, inner, (*place, name))


_KINDS = {dict: "an object", list: "a list", str: "a text", type(None): "null"}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), repr(value))


def _referring(document: dict[str, Any]) -> Iterator[tuple[_Place, str, dict[str, Any], _Object]]:
    """Yield the name of each path and security scheme, with where it is and its form."""
    for place, form in (
        (("components", "securitySchemes"), _ANY),
        (("securityDefinitions",), _ANY),
        (("paths",), _ITEM),
    ):
        part = document
        for name in place:
            part = part.get(name, {})
        for name in list(part):
            if form is _ANY or name.startswith("/"):  # beside paths, there are extensions
                yield place, name, part, form


def _inlined(document: Document, value: Any, place: _Place) -> Any:
    """Return what a value refers to, with what stands beside the reference."""
    there = referred(document, value, place)
    if there is value or not isinstance(there, dict):
        return there
    beside = {name: each for name, each in value.items() if name != "$ref"}
    return {**copied(there), **beside}


def referred(document: Document, value: Any, place: _Place) -> Any:
    """Return what a value refers to, or the value itself. Raises ValueError if it is not there."""
    passed = set()
    while isinstance(value, dict) and "$ref" in value:
        reference = str(value["$ref"])
        if reference in passed or not reference.startswith("#"):
            why = "itself" if reference in passed else "another document: put that into this one"
            raise _wrong(place, f"refers to {why}")
        passed.add(reference)
        value = document
        for escaped in unquote(reference).split("/")[1:]:
            name = escaped.replace("~1", "/").replace("~0", "~")
            try:
                value = value[int(name) if isinstance(value, list) else name]
            except (KeyError, IndexError, TypeError, ValueError):
                raise _wrong(place, f"refers to {reference}, which is not there") from None
    return value


def _wrong(place: _Place, what: str) -> ValueError:
    pointer = "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in place)
    return ValueError(f"the OpenAPI document is wrong: #{pointer} {what}")
