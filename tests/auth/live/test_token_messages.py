"""Which messages are about tokens, so that the handler does not get them?"""

from collections.abc import Awaitable, Callable

import pytest

from support.live import Live, closed
from support.logs import reasons

Start = Callable[..., Awaitable[Live]]


@pytest.mark.parametrize(
    "text",
    [
        "access_token",
        '"access_token"',
        '["access_token"]',
        '{"x": {"access_token": "y"}}',
        '{"x": "\\"access_token\\"", "y": "%s"}' % ("y" * 17_000),
        '{"access\\u005Ftokens": "y"}',
        '{"access_toke\\u006"',
    ],
)
async def test_any_other_message_reaches_the_handler(live: Start, text: str) -> None:
    there = await live()
    async with there.opened(there.mint()) as socket:
        await socket.send_str(text)
        assert await socket.receive_str() == text
    assert there.received == [text]


@pytest.mark.parametrize(
    "text",
    [
        '{"access_token": "y"',
        '{"access_token": "y"} ',
        '{"access_token": "y"} x',
        '{"access_token": "y", "access_token": "y"}',
        '{"access_token": "y", "x": 1, "x": 2}',
        '{"access_token": "y", "x": NaN}',
        '{"access_token": "%s"}' % ("y" * 17_000),
        '{"access_token":' + "[" * 5_000,
        '{"access_token": "y", "x": ' + "[" * 65 + "]" * 65 + "}",
        '{"access\\u005ftoken": "y"}',
        '{"\\u0061ccess_toke\\u006E": "y"}',
        '\ufeff \t{"access_token": "y"}',
    ],
)
async def test_what_may_be_a_token_reaches_no_handler(
    live: Start, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    there = await live()
    async with there.opened(there.mint()) as socket:
        await socket.send_str(text)
        assert (await closed(socket)).code == 4401
    assert there.received == []
    assert reasons(caplog) == ["401 malformed"]


async def test_a_binary_message_is_the_handlers(live: Start) -> None:
    there = await live()
    async with there.opened(there.mint()) as socket:
        await socket.send_bytes(b'{"access_token": "y"}')
        assert await socket.receive_str() == str(b'{"access_token": "y"}')
