"""How are decisions kept in a file, one JSON object a line?"""

import errno
import json
import os

from hello import auth


class AuditFile:
    """A function for `on_decision` that appends each decision to a file.

    The file is opened for each line, so it may be moved away at any time, as logrotate does. A new
    one can be read by its owner only. Several processes may write to the same file, because a line
    is written at once. Raises OSError if it cannot be written, such as on a full disk; whether it
    can be opened is tried at once. After a part of a line, the next decision begins a line of its
    own, whichever process writes it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        os.close(self._open())

    def __call__(self, decision: auth.Decision) -> None:
        """Append one decision."""
        line = json.dumps(decision.as_dict()).encode() + b"\n"
        file = self._open()
        try:
            if os.fstat(file).st_size:  # it is 0 for what cannot be read again, such as a pipe
                os.lseek(file, -1, os.SEEK_END)
                if os.read(file, 1) != b"\n":
                    line = b"\n" + line
            written = os.write(file, line)
        except OSError as error:
            error.filename = self._path  # the log says which file it is
            raise
        finally:
            os.close(file)
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
