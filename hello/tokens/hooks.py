"""How is a function of the application called, and what happens if it fails or does not answer?"""

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .errors import AuthError
from .timing import Timing

_T = TypeVar("_T")

_logger = logging.getLogger("hello.auth")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class HookError(Exception):
    """A hook gave no answer: it raised, was cancelled, took too long or returned a wrong type."""


def check_hook(name: str, hook: object, gets: str) -> None:
    """Raise ValueError unless an option is a function or None. `gets`: what it is called with."""
    if hook is not None and not callable(hook):
        raise ValueError(f"{name} is a function that gets {gets}, not {hook!r}")


def takes_request(check: Callable[..., Any]) -> bool:
    """Return whether a check is called with the token and the request, or with the token alone.

    With one parameter it gets the token, and with two it gets both, the token first. A second
    parameter with a default is left alone, unless its name is `request`. Raises TypeError if the
    check cannot be called like this, or takes the request first.
    """
    try:
        signature = inspect.signature(check)
    except ValueError:  # some functions that are written in C do not tell
        return False
    first_two = [each for each in signature.parameters.values() if each.kind in _POSITIONAL][:2]
    if first_two and _is_for_request(first_two[0]):
        raise TypeError(
            f"a check gets the AccessToken first: write check(token) or check(token, request), and "
            f"not {getattr(check, '__name__', 'check')}{signature}"
        )
    takes = any(each.default is each.empty or each.name == "request" for each in first_two[1:])
    try:
        signature.bind(*("token", "request")[: 2 if takes else 1])
    except TypeError as error:
        raise TypeError(
            "check is a function that takes the AccessToken, or the AccessToken and the request, "
            f"and {check!r} is not: {error}"
        ) from None
    return takes


def _is_for_request(parameter: inspect.Parameter) -> bool:
    kind = getattr(parameter.annotation, "__name__", parameter.annotation)
    return parameter.name == "request" or (isinstance(kind, str) and kind.endswith("Request"))


class Listeners(list[Callable[[_T], None]], Generic[_T]):
    """Functions that are told of what happens, such as "decisions" (`what`). They are quick."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._failing: list[Callable[[_T], None]] = []

    def tell(self, happened: _T) -> None:
        """Tell all of them. One that fails is logged once, until it works again."""
        for listener in self:
            try:
                listener(happened)
            except Exception:
                if listener not in self._failing:
                    self._failing.append(listener)
                    _logger.exception("a listener for %s failed", self._what)
            else:
                if listener in self._failing:
                    self._failing.remove(listener)


async def ask(
    hook: Callable[..., Any],
    *arguments: object,
    timeout: float,  # noqa: ASYNC109 - the message names it
    returns: tuple[type, ...] = (object,),
) -> Any:
    """Call a hook, sync or async, and return its answer, which has one of the types in `returns`.

    `timeout` limits an async hook, in seconds. Raises HookError, or the AuthError that the hook
    itself raises. Nothing else that the hook raises gets through: SystemExit would end the server.
    """
    limit, cancelled_before = None, _cancellations()
    try:
        answer = hook(*arguments)
        if inspect.isawaitable(answer):
            async with asyncio.timeout(timeout) as limit:
                answer = await answer
    except AuthError as refusal:
        if _cancellations() > cancelled_before:
            raise asyncio.CancelledError from refusal  # the hook has hidden that
        raise
    except GeneratorExit:  # it ends a coroutine that nobody waits for any more
        raise
    except asyncio.CancelledError as error:
        _check_in_time(limit, timeout)
        if _cancellations() > cancelled_before:
            raise  # the client went away, or the server is stopping
        # Only something inside the hook was cancelled. The client still needs an answer.
        raise HookError("something that the hook waited for was cancelled") from error
    except BaseException as error:
        _forget_earlier_calls(error)
        _check_in_time(limit, timeout)
        raise HookError(f"it raised {type(error).__name__}") from error
    _check_in_time(limit, timeout)  # the hook may have swallowed its cancellation
    if not isinstance(answer, returns):
        wanted = " or ".join(each.__name__ for each in returns)
        raise HookError(f"it returned {type(answer).__name__}, not {wanted}")
    return answer


def _forget_earlier_calls(error: BaseException) -> None:
    """Remove the earlier calls of a hook from a traceback.

    A hook may raise one object at many calls. It would keep the stacks of them all.
    """
    entry = error.__traceback__  # that of `ask`
    while entry is not None:
        if entry.tb_next is not None and entry.tb_next.tb_frame.f_code is ask.__code__:
            entry.tb_next = None
        entry = entry.tb_next


def log_failure(what: str, error: Exception, timing: Timing) -> None:
    """Log the failure of a hook, with its stack.

    A hook may fail for each request, so of many such failures not all are logged. `what` is the
    message, and tells hooks apart. No part of it may come from a client.
    """
    if timing.failure_lines.take(f"{what} {type(error.__cause__ or error).__name__}"):
        _logger.error("%s", what, exc_info=error)


def _check_in_time(limit: asyncio.Timeout | None, seconds: float) -> None:
    if limit is not None and limit.expired():
        raise HookError(f"no answer within {seconds:g} s")


def _cancellations() -> int:
    """Return how often the current task was asked to stop.

    Compare two values: in Python 3.11, a TaskGroup that fails does not take its request back.
    """
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
