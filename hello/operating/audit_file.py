"""How are decisions kept in a file, one JSON object a line?"""

import errno
import json
import os

from hello import auth


class AuditFile:
    """A function for `on_decision` that appends each decision to a file.

    The file is opened for each line, so it may be moved away at any time, as logrotate does. A new
    one can be read by its owner only. Several processes may write to the same file, because a line
    is written at once. Raises OSError if it cannot be written, which is tried at once, too.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_torn = False  # the last line has no end
        os.close(self._open())

    def __call__(self, decision: auth.Decision) -> None:
        """Append one decision."""
        line = json.dumps(decision.as_dict()).encode() + b"\n"
        if self._is_torn:
            line = b"\n" + line
        file = self._open()
        try:
            written = os.write(file, line)
        except OSError as error:
            error.filename = self._path  # the log says which file it is
            raise
        finally:
            os.close(file)
        if written < len(line):
            self._is_torn = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._is_torn = False

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
