"""What does a line of the log look like to a person?"""

import logging
from copy import copy

from .cleaning import cleaned
from .requests import added, current_request

TEXT_FORMAT = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Escapes control characters, indents stacks, and leaves out whatever looks like a token.

    So no text in an entry, whoever wrote it, can look like an entry of its own. An entry about a
    request ends with the id of the request, and with its sender unless the message names it.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: D102, N802 - logging's name
        line, (name, peer) = cleaned(super().formatMessage(record)), current_request()
        if name is None:
            return line
        is_named = "peer" in record.__dict__ and "peer" not in added(record)
        sender = "" if is_named else f" from={peer}"
        return f"{line} request={name}{sender}"

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102
        # Another handler may have left its own text of the stack, which is not escaped.
        entry = copy(record)
        entry.exc_text = None
        return super().format(entry)

    def formatStack(self, stack_info: str) -> str:  # noqa: D102, N802 - logging's name
        return _indented(stack_info)

    def formatException(self, ei: object) -> str:  # noqa: D102, N802 - logging's name
        return _indented(super().formatException(ei))  # type: ignore[arg-type]


def _indented(stack: str) -> str:
    return "\n".join(f"    | {cleaned(line)}" for line in stack.split("\n"))
