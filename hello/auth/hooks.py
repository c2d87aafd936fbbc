"""What does a function of the application's own answer, and what if it does not?"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from .errors import AuthError


class HookError(Exception):
    """A hook raised, was cancelled from within, or took too long: it has not answered."""


async def ask(hook: Callable[..., Any], *arguments: object, timeout: float) -> Any:  # noqa: ASYNC109
    """Call a hook, sync or async, and return what it says. `timeout`: seconds for an async one.

    Raises HookError, or the AuthError that the hook refuses with.
    """
    limit, cancelled_before = None, cancellations()
    try:
        answer = hook(*arguments)
        if inspect.isawaitable(answer):
            async with asyncio.timeout(timeout) as limit:
                answer = await answer
    except AuthError:
        raise
    except asyncio.CancelledError:
        _check_in_time(limit, timeout)
        if cancellations() > cancelled_before:
            raise  # the client went away, or the server ends
        # Something of the hook's was cancelled: unanswered, this would drop the connection.
        raise HookError("something that the hook waited for was cancelled") from None
    except Exception as error:
        _check_in_time(limit, timeout)
        raise HookError(f"it raised {type(error).__name__}") from error
    _check_in_time(limit, timeout)  # it may have taken its cancellation for nothing
    return answer


def _check_in_time(limit: asyncio.Timeout | None, seconds: float) -> None:
    if limit is not None and limit.expired():
        raise HookError(f"no answer within {seconds:g} s")


def cancellations() -> int:
    """Count who wanted this very task to end, and not only what it waits for.

    To be compared with what it was before: in Python 3.11 a TaskGroup that failed leaves one there.
    """
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
