"""Does an explanation know how long a token may be that a server takes?"""

import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession, web

from hello import auth
from hello.auth import Explanation, TokenValidator
from hello.sandbox.issuer import Issuer
from hello.server import Runner
from support.api import ApiServer, Client, bearer
from support.explaining import app_with, decisive, found, in_one_line, statuses
from support.naming import naming
from support.pages import PROJECT
from support.protecting import new_handler


class Server(NamedTuple):
    """How an application is served, and the longest token that is known to be taken by then."""

    name: str
    longest: int
    known: bool
    runner: Callable[[web.Application], web.AppRunner]
    handler_args: dict[str, Any] | None = None


def large(app: web.Application) -> web.AppRunner:
    return Runner(app, max_field_size=16_384)


SERVERS = [
    Server("AppRunner", 8183, known=False, runner=web.AppRunner),
    Server(
        "AppRunner with a limit",
        8183,
        known=False,
        runner=lambda app: web.AppRunner(app, max_field_size=16_384),
    ),
    Server("Runner", 8183, known=True, runner=Runner),
    Server("Runner with a limit", 16_377, known=True, runner=large),
    Server(
        "handler_args",
        19_993,
        known=True,
        runner=web.AppRunner,
        handler_args={"max_field_size": 20_000},
    ),
    Server(
        "handler_args and Runner",
        19_993,
        known=True,
        runner=large,
        handler_args={"max_field_size": 20_000},
    ),
    Server(
        "other handler_args",
        16_377,
        known=True,
        runner=large,
        handler_args={"handler_cancellation": True},
    ),
    Server("less", 993, known=True, runner=lambda app: Runner(app, max_field_size=1000)),
]


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
async def test_what_is_said_of_a_length_is_what_the_server_does(
    validator: TokenValidator, server: Server
) -> None:
    app = web.Application(handler_args=server.handler_args)
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    runner = server.runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0)
    await site.start()
    async with ClientSession() as client:
        for length in (server.longest, server.longest + 1):
            async with client.get(site.name, headers=bearer("a" * length)) as answer:
                refused = answer.status == 400
            explanation = await auth.explain(app, "a" * length)
            assert explanation.too_long is (length > server.longest)
            assert explanation.limit_is_usual is not server.known
            if server.known:
                assert refused is explanation.too_long
            elif refused:
                assert explanation.too_long
    await runner.cleanup()


async def test_in_a_header_of_its_own_a_token_stands_alone(
    validator: TokenValidator, aiohttp_client: Callable[[ApiServer], Awaitable[Client]]
) -> None:
    app = web.Application()
    auth.setup(app, validator, header="X-Token")
    app.router.add_get("/", new_handler())
    client = await aiohttp_client(ApiServer(app))
    for length, status in ((8190, 401), (8191, 400)):
        async with client.get("/", headers={"X-Token": "a" * length}) as answer:
            assert answer.status == status
        assert (await auth.explain(app, "a" * length)).too_long is (status == 400)


async def test_a_runner_that_comes_later_changes_nothing(validator: TokenValidator) -> None:
    app = app_with(validator)
    runner = Runner(app)
    await runner.setup()
    Runner(app, max_field_size=20_000)
    assert (await auth.explain(app, "a" * 8184)).too_long
    await runner.cleanup()


def says(explanation: Explanation, *named: object) -> bool:
    return re.search(naming(*named), in_one_line(explanation)) is not None


async def test_a_token_that_no_request_can_carry_is_not_called_valid(
    issuer: Issuer, validator: TokenValidator
) -> None:
    app = app_with(validator)
    app.router.add_get("/", auth.protected(scopes={"a"})(new_handler()))
    assert Runner(app).app is app
    groups = {"groups": ["x" * 100] * 80}
    explanation = await auth.explain(app, issuer.mint(claims=groups))
    assert (explanation.refusal, explanation.too_long, explanation.routes) == (None, True, ())
    assert decisive(explanation) == "size"
    assert says(explanation, 400)
    expired = await auth.explain(app, issuer.mint(claims={**groups, "exp": 1}))
    assert expired.too_long
    assert expired.refusal is not None
    assert decisive(expired) == "size"
    assert says(expired, 400)
    assert explanation.advice_ids == ("too_long.known",)
    assert expired.advice_ids == ("too_long.known", "expired.duration")


async def test_where_the_limit_is_unknown_both_cases_are_told(
    issuer: Issuer, validator: TokenValidator
) -> None:
    app = app_with(validator)
    app.router.add_get("/", auth.protected(scopes={"a"})(new_handler()))
    groups = {"groups": ["x" * 100] * 80}
    explanation = await auth.explain(app, issuer.mint(claims=groups))
    assert (explanation.refusal, explanation.too_long, explanation.limit_is_usual) == (
        None,
        True,
        True,
    )
    assert statuses(explanation)["size"] == "FAILED"
    assert "<-" not in str(explanation)
    assert says(explanation, 400)
    assert says(explanation, "valid")
    assert [path for _, path, _ in explanation.routes] == ["/"]
    assert explanation.advice_ids == ("too_long.usual",)
    expired = await auth.explain(app, issuer.mint(claims={**groups, "exp": 7}))
    assert decisive(expired) == "exp"
    assert says(expired, "expired")
    assert not says(expired, "valid")
    assert expired.advice_ids == ("too_long.usual", "expired.duration")


PROGRAM = """
import asyncio
from aiohttp import ClientSession, web
from hello import auth

async def main():
    app = web.Application()
    auth.setup(app, auth.TokenValidator(issuer="https://id.example.com", audience="api"))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0)
    await site.start()
    async with ClientSession() as client:
        for length in (8168, 8169):
            headers = {"Authorization": "Bearer " + "a" * length}
            async with client.get(site.name, headers=headers) as answer:
                print(answer.status, (await auth.explain(app, "a" * length)).too_long)
    await runner.cleanup()

asyncio.run(main())
"""


def test_without_the_compiled_parser_the_name_of_the_header_counts_too() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "AIOHTTP_NO_EXTENSIONS": "1",
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert ran.stdout.split() == ["404", "False", "400", "True"]


async def test_the_sizes_are_named(validator: TokenValidator) -> None:
    finding = found(await auth.explain(app_with(validator), "a" * 8184), "size")
    assert "8183" in finding.wants
    assert "8184" in finding.has
