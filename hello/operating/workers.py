"""What is done when a worker of gunicorn has ended, so that the metrics forget it?

`gunicorn --config python:hello.operating.workers` reads this file, in the process that starts the
workers. It imports nothing else of this project: what that process has loaded, a reload keeps.
"""

import os
from typing import Any

from prometheus_client import multiprocess


def child_exit(_server: Any, worker: Any) -> None:
    """Forget what only a living worker can say, such as how large its cache is."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
