"""What does a line of the log look like to a program?"""

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

from .cleaning import cleaned
from .requests import ADDED, added, current_request

_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", ADDED}
_MAX_DEPTH = 10  # of what a program gives as `extra`
_MAX_BITS = 10_000  # Python writes no integers with more than 4,300 digits

TAKEN = _OF_EVERY_RECORD | {"time", "level", "logger", "pid", "request_id", "peer", "type", "stack"}
"""The names that nothing else in an entry can have."""


class JsonFormatter(logging.Formatter):
    """Writes an entry as one JSON object in one line, with the rules of LineFormatter for texts.

    What a program gives to its logger as `extra` is in the object, too, unless the name is taken.
    """

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102
        at = datetime.fromtimestamp(record.created, UTC).astimezone()
        entry: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),  # RFC 3339 §5.6
            "level": record.levelname,
            "logger": record.name,
            "message": cleaned(record.getMessage()),
            "pid": record.process,
        }
        name, peer = current_request()
        if name is not None:
            entry |= {"request_id": name, "peer": peer}
        stacks = [record.stack_info] if record.stack_info else []
        if record.exc_info and record.exc_info[0] is not None:
            entry["type"] = record.exc_info[0].__qualname__
            stacks.insert(0, self.formatException(record.exc_info))
        if stacks:
            entry["stack"] = "\n".join(map(cleaned, "\n".join(stacks).split("\n")))
        for name, value in record.__dict__.items():
            if not (name in _OF_EVERY_RECORD or name in entry or name in added(record)):
                entry[name] = _cleaned(value)
        return json.dumps(entry)


def _cleaned(value: Any, within: tuple[Any, ...] = ()) -> Any:
    """Return what JSON can hold of a value. `within` is what contains it, which may be itself."""
    if value is None or isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dict | list | tuple | set | frozenset):
        if len(within) >= _MAX_DEPTH or any(value is each for each in within):
            return "..."
        within = (*within, value)
        if isinstance(value, dict):
            return {_text(name): _cleaned(each, within) for name, each in value.items()}
        return [_cleaned(each, within) for each in value]
    return _text(value)


def _number(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() >= _MAX_BITS:
        return hex(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _text(value: object) -> str:
    try:
        return cleaned(str(value))
    except Exception:  # noqa: BLE001 - a line of the log must not make a request fail
        return f"({type(value).__qualname__} that cannot be shown)"
