"""If a check raises one and the same object for each request, does that object stay small?"""

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from support.checking import Check, Served
from support.logs import codes, faults


def of_both(error: Exception) -> Check:
    async def check(_token: auth.AccessToken, _request: web.Request) -> bool:
        raise error

    return check


def of_the_token(error: Exception) -> Any:
    def check(_token: auth.AccessToken) -> bool:
        raise error

    return check


@pytest.mark.parametrize("kind", [of_both, of_the_token])
@pytest.mark.parametrize(
    "make",
    [
        web.HTTPNotFound,
        web.HTTPUnauthorized,
        web.HTTPServiceUnavailable,
        partial(auth.InsufficientScopeError, auth.Reason.CHECK),
        ValueError,
    ],
)
async def test_it_does_not_keep_the_stacks_of_all_requests(
    served: Served, kind: Callable[[Exception], Check], make: Callable[[], Exception]
) -> None:
    error = make()
    await served.with_checks(kind(error))
    sizes = []
    for _ in range(100):
        await served.post(b"x")
        sizes.append((len(places(error)), depth(error)))
    assert set(sizes) == {sizes[0]}
    assert served.outcomes == ["check"] * 100


async def test_the_log_has_the_stack_of_one_request(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("the same")
    await served.with_checks(of_both(error))
    for _ in range(2):
        await served.post(b"x")
    for fault in faults(caplog):
        assert fault.exc_info is not None
        failure = fault.exc_info[1]
        assert failure is not None
        assert failure.__cause__ is error
    assert codes(caplog) == ["check"] * 2
    assert places(error).count("check") == 1


def places(error: BaseException) -> list[str]:
    """The functions that an exception has come through."""
    return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]


def depth(error: BaseException) -> int:
    """How many exceptions an exception has behind it."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        each = each.__cause__ or each.__context__
    return len(seen)
