"""What does a line of the log look like to a program?"""

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

from .cleaning import cleaned
from .requests import current_request

_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


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
            if name not in _OF_EVERY_RECORD and name not in entry:
                entry[name] = _cleaned(value)
        return json.dumps(entry)


def _cleaned(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {cleaned(str(name)): _cleaned(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(each) for each in value]
    return cleaned(str(value))
