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
    limit = None
    try:
        answer = hook(*arguments)
        if inspect.isawaitable(answer):
            async with asyncio.timeout(timeout) as limit:
                answer = await answer
    except AuthError:
        raise
    except asyncio.CancelledError:
        if being_cancelled():
            raise  # the client went away, or the server ends
        # Something of the hook's was cancelled: unanswered, this would drop the connection.
        raise HookError("something that the hook waited for was cancelled") from None
    except Exception as error:
        if limit is not None and limit.expired():
            raise HookError(f"no answer within {timeout:g} s") from error
        raise HookError(f"it raised {type(error).__name__}") from error
    return answer


def being_cancelled() -> bool:
    """Say whether somebody wants this very task to end, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
