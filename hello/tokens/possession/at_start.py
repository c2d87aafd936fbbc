"""What is an operator told at the start about where proofs are remembered?"""

import logging
import sys

from .dpop import DPoP
from .redis_replay import RedisReplayStore
from .replay import MemoryReplayStore, ReplayError

_logger = logging.getLogger("hello.auth")


async def tell_where_proofs_are_remembered(dpop: DPoP) -> None:
    """Log what is to be known about the replay store of a process that starts.

    A Redis server is asked once, and need not answer: requests will ask it again.
    """
    if isinstance(dpop.replay, MemoryReplayStore):
        _logger.log(
            logging.WARNING if _is_one_of_several() else logging.INFO,
            "each process remembers proofs (DPoP) for itself: if there are several, set REDIS_URL, "
            "or use RedisReplayStore in an application of your own",
        )
    elif isinstance(dpop.replay, RedisReplayStore):
        try:
            await dpop.replay.try_out()
        except ReplayError as error:
            _logger.warning("proofs (DPoP) cannot be remembered yet: %s", error)


def _is_one_of_several() -> bool:
    """Return whether this process is known to serve together with others.

    A worker of gunicorn knows the workers that were started before it, because it was forked from
    the process that starts them. Other servers and other machines are not noticed.
    """
    arbiter = getattr(sys.modules.get("gunicorn.arbiter"), "Arbiter", None)
    return bool(getattr(arbiter, "WORKERS", None))
