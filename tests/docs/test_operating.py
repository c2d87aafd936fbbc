"""Is what hello/docs/deploying.md says of keys, outages and settings what happens?"""

import errno
import inspect
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import pytest
from joserfc.jwk import Key

from hello.auth import AuthError, TokenValidator
from hello.sandbox.issuer import Issuer
from support.check_token import check_token, environ_for
from support.clock import FakeClock
from support.failing_issuer import FailingIssuer, settled, validating
from support.machine import GUNICORN, PAGE
from support.pages import PROJECT, rows, rows_by_id
from support.validators import presented

NOT_ANSWERING = "http://127.0.0.1:9/"


def test_what_sounds_bad_at_the_end_is_what_gunicorn_can_say() -> None:
    """Not each of them comes at each end: test_running.py looks for others than these."""
    [[closing, _], [killed, _]] = rows(PAGE, "gunicorn-messages")
    sources = [inspect.getsource(import_module(f"gunicorn.{name}")) for name in ("sock", "arbiter")]
    assert (
        closing.strip("`")
        == f"Error while closing socket {OSError(errno.EBADF, os.strerror(errno.EBADF))}"
    )
    assert "Error while closing socket %s" in sources[0]
    assert killed.strip("`") == f"Worker (pid:…) was sent {signal.SIGQUIT.name}!"
    assert "Worker (pid:%s) was sent %s!" in sources[1]


# --- Keys and outages ----------------------------------------------------------------------------


@pytest.fixture
async def failing(keys: list[Key], clock: FakeClock) -> AsyncIterator[FailingIssuer]:
    async with FailingIssuer.serving(keys[0], clock) as issuer:
        yield issuer


async def status(validator: TokenValidator, token: str) -> int:
    try:
        await validator.validate(presented(token))
    except AuthError as refusal:
        return refusal.status
    return 200


async def test_an_outage_is_answered_as_the_table_says(
    failing: FailingIssuer, clock: FakeClock, keys: list[Key]
) -> None:
    good, expired = failing.mint(), failing.mint(claims={"exp": 1})
    forged = failing.mint(header={"kid": keys[0].kid}, key=keys[2])
    new = failing.mint(header={"kid": "of the new key"}, key=keys[1])
    *during, (_, *afterwards) = rows(PAGE, "outage")
    async with validating(failing, clock) as validator:
        assert await status(validator, good) == 200
        await failing.stop()
        fetched_at = clock.uptime
        seen = []
        for seconds, *_ in during:
            while clock.uptime - fetched_at < int(seconds.replace(",", "")):
                clock.advance(10)
                await status(validator, good)
                await settled(validator)
            seen.append([await status(validator, each) for each in (good, new, forged, expired)])
        assert seen == [[int(cell) for cell in row[1:]] for row in during]

        await failing.start()
        failing.publish(keys[1])
        clock.advance(10)
        new = failing.mint(header={"kid": keys[1].kid}, key=keys[1])
        last = [await status(validator, each) for each in (good, new, forged, expired)]
        assert last == [int(cell) for cell in afterwards]


STOLEN_KEY = rows_by_id(PAGE, "stolen-key")


@pytest.mark.parametrize("case", STOLEN_KEY)
async def test_a_stolen_key_is_trusted_as_long_as_the_table_says(
    failing: FailingIssuer, clock: FakeClock, keys: list[Key], case: str
) -> None:
    [seconds] = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+) s", STOLEN_KEY[case][1])]
    stolen = failing.mint()
    async with validating(failing, clock) as validator:
        for _ in range(3):  # so that it is remembered
            assert await status(validator, stolen) == 200
        failing.rotate(keys[1])
        failing.withdraw(keys[0])
        match case:
            case "new-key":
                assert await status(validator, failing.mint()) == 200
            case "busy":
                for _ in range(seconds):
                    clock.advance(1)
                    assert await status(validator, stolen) == 200
                await settled(validator)
            case "idle":
                async with validating(failing, clock) as another:
                    failing.publish(keys[0])
                    assert await status(another, stolen) == 200
                    failing.withdraw(keys[0])
                    clock.advance(seconds - 0.5)
                    assert await status(another, stolen) == 200  # and fetches in the background
                clock.advance(0.5)
            case "outage":
                await failing.stop()
                clock.advance(seconds - 0.5)
                assert await status(validator, stolen) == 200
                clock.advance(0.5)
            case "replaced":
                await validator.close()
                async with validating(failing, clock) as another:
                    assert await status(another, stolen) == 401
                return
            case _:
                pytest.fail("nobody knows how to try this")
        assert await status(validator, stolen) == (503 if case == "outage" else 401)


async def test_a_check_asks_the_issuer_and_not_a_server_that_may_hold_older_keys(
    issuer: Issuer, validator: TokenValidator, keys: list[Key], tmp_path: Path
) -> None:
    token = issuer.mint()
    assert await status(validator, token) == 200
    issuer.rotate(keys[1])
    issuer.withdraw(keys[0])
    checked = await check_token(token, tmp_path, **environ_for(issuer))
    assert (checked.status, "reason unknown_key" in checked.out) == (1, True)
    assert await status(validator, token) == 200
    await validator.close()


# --- The settings --------------------------------------------------------------------------------


def test_each_variable_is_in_the_table_with_its_default() -> None:
    table = {row[0].strip("`"): row[1].strip("`") for row in rows(PAGE, "variables")}
    example = (PROJECT / ".env.example").read_text("utf-8")
    variables = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
    assert table == {**variables, "CLIENT_ORIGIN_URL": "required", "AUTH0_AUDIENCE": "required"}


def test_each_option_of_gunicorn_in_the_table_is_one() -> None:
    listed = [re.findall("`(.+?)`", row[0])[0] for row in rows(PAGE, "gunicorn-options")]
    helped = subprocess.run(
        [GUNICORN, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    for option in listed:
        assert re.search(rf"{option}\b", helped.stdout), option
