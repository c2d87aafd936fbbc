"""What can go wrong at night, and how is it made to happen?"""

import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path

from support.machine import GUNICORN

from .keys import keys_are_rotated, provider_is_down, tokens_are_forged
from .machine import (
    clock_is_off,
    disk_is_full_for_the_audit,
    disk_is_full_for_the_log,
    redis_is_down,
)
from .workers import version_is_deployed, worker_is_killed

_FULL = Path("/dev/full")

INCIDENTS: dict[str, Callable[[Path], Coroutine[None, None, str]]] = {
    "provider-down": provider_is_down,
    "keys-rotated": keys_are_rotated,
    "forged-tokens": tokens_are_forged,
    "clock-off": clock_is_off,
    "redis-down": redis_is_down,
    "audit-full": disk_is_full_for_the_audit,
    "log-full": disk_is_full_for_the_log,
    "worker-killed": worker_is_killed,
    "deploy": version_is_deployed,
}
"""What makes each of them happen in a folder of its own, and returns what was seen."""


def missing(name: str) -> str | None:
    """Return what this machine lacks for an event, or None."""
    needs = {
        "redis-down": (shutil.which("redis-server"), "there is no redis-server"),
        "worker-killed": (GUNICORN.exists(), "there is no gunicorn"),
        "deploy": (GUNICORN.exists(), "there is no gunicorn"),
        "audit-full": (_FULL.exists(), "there is no /dev/full"),
        "log-full": (_FULL.exists(), "there is no /dev/full"),
    }
    there, reason = needs.get(name, (True, ""))
    return None if there else reason
