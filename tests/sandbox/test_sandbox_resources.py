"""Does a client that names a resource get tokens for it, and for nothing else (RFC 8707)?"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc.jwk import Key

from hello.sandbox.issuer import OMIT, Issuer
from support.api import AUDIENCE, Client
from support.clock import FakeClock
from support.logging_in import (
    ROBIN,
    answer_of,
    asking,
    authorize,
    claims_of,
    log_in,
    refresh,
    tokens,
)
from support.token_endpoint import FORM, JSON, TOKEN, as_json, form

RESOURCE, OTHER = "http://localhost:8080", "http://localhost:8080/mcp"
WITH_SLASH = "https://slash.example.com/"


@pytest.fixture
def own(keys: list[Key], clock: FakeClock) -> Issuer:
    """An issuer for three audiences, one of which has a second name."""
    resources = {RESOURCE: AUDIENCE, OTHER: OTHER, WITH_SLASH: WITH_SLASH}
    return Issuer(audience=AUDIENCE, resources=resources, key=keys[0], clock=clock.time)


NAMED: list[tuple[dict[str, str], str]] = [
    ({"resource": RESOURCE}, AUDIENCE),
    ({"resource": f"{RESOURCE}/"}, AUDIENCE),
    ({"resource": AUDIENCE}, AUDIENCE),
    ({"resource": WITH_SLASH}, WITH_SLASH),
    ({"resource": WITH_SLASH[:-1]}, WITH_SLASH),
    ({"resource": OTHER}, OTHER),
    ({"audience": RESOURCE}, AUDIENCE),
    ({"audience": AUDIENCE, "resource": RESOURCE}, AUDIENCE),
]
REFUSED: list[dict[str, str]] = [
    {"audience": "https://elsewhere.example.com"},
    {"audience": f"{AUDIENCE}/"},
    {"resource": "https://elsewhere.example.com"},
    {"resource": f"{RESOURCE}#fragment"},
    {"resource": f"{RESOURCE}/#"},
    {"resource": f"{RESOURCE}//"},
    {"resource": f"{OTHER}/"},
    {"resource": f"{RESOURCE} {OTHER}"},
    {"resource": "/"},
    {"resource": f"{WITH_SLASH}/"},
    {"audience": AUDIENCE, "resource": OTHER},
    {"audience": AUDIENCE, "resource": "https://elsewhere.example.com"},
    {"audience": "https://elsewhere.example.com", "resource": RESOURCE},
]


async def asked_by_itself(client: Client, body: bytes, content_type: str) -> tuple[int, Any]:
    headers = {"Content-Type": content_type}
    async with client.post(TOKEN, data=body, headers=headers) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(("named", "audience"), NAMED)
@pytest.mark.parametrize("encode", [form, as_json])
async def test_a_client_gets_a_token_for_the_resource(
    client: Client, encode: Callable[..., bytes], named: dict[str, str], audience: str
) -> None:
    body = encode(**{"audience": OMIT, **named})
    status, answer = await asked_by_itself(client, body, FORM if encode is form else JSON)
    assert status == 200
    assert claims_of(answer["access_token"])["aud"] == audience


@pytest.mark.parametrize("named", REFUSED)
@pytest.mark.parametrize("encode", [form, as_json])
async def test_a_client_gets_no_token_for_what_is_unknown_or_differs(
    client: Client, encode: Callable[..., bytes], named: dict[str, str]
) -> None:
    body = encode(**{"audience": OMIT, **named})
    status, answer = await asked_by_itself(client, body, FORM if encode is form else JSON)
    assert (status, answer["error"]) == (400, "invalid_target")


@pytest.mark.parametrize(
    ("values", "status"),
    [([RESOURCE, RESOURCE], 200), ([RESOURCE, ""], 200), ([RESOURCE, OTHER], 400)],
)
async def test_several_resources_are_one_token_only_if_they_are_the_same(
    browser: Client, values: list[str], status: int
) -> None:
    """RFC 8707 §2 lets a client send several; here a token is for one."""
    more = [("resource", value) for value in values]
    body = form(audience=OMIT) + b"&" + urlencode(more).encode()
    answered, answer = await asked_by_itself(browser, body, FORM)
    assert answered == status
    assert answer.get("error") == (None if status == 200 else "invalid_target")
    parameters = [*asking(audience=None).items(), *more]
    page = await browser.get("/authorize", params=parameters, allow_redirects=False)
    if status == 200:
        assert page.status == 200
    else:
        assert answer_of(page)["error"] == "invalid_target"


@pytest.mark.parametrize(("named", "audience"), NAMED)
async def test_who_logs_in_gives_the_client_tokens_for_the_resource(
    browser: Client, own: Issuer, named: dict[str, str], audience: str
) -> None:
    """It is kept through the code and each refresh, whether it is named again or not."""
    changes: dict[str, str | None] = {"audience": None, **named}
    code = await log_in(browser, ROBIN, **changes, scope="offline_access")
    _, first = await tokens(browser, code, **named)
    _, second = await refresh(browser, first["refresh_token"])
    _, third = await refresh(browser, second["refresh_token"], **named)
    for answer in (first, second, third):
        assert claims_of(answer["access_token"])["aud"] == [audience, f"{own.url}userinfo"]


@pytest.mark.parametrize("named", REFUSED)
async def test_nobody_logs_in_for_what_is_unknown_or_differs(
    browser: Client, named: dict[str, str]
) -> None:
    answer = answer_of(await authorize(browser, **{"audience": None, **named}))
    assert answer["error"] == "invalid_target"


@pytest.mark.parametrize("granted", [AUDIENCE, None])
@pytest.mark.parametrize("named", [{"resource": OTHER}, {"audience": OTHER}, *REFUSED])
async def test_a_client_gets_tokens_for_nothing_that_was_not_granted(
    browser: Client, granted: str | None, named: dict[str, str]
) -> None:
    """RFC 8707 §2.2."""
    code = await log_in(browser, scope="offline_access", audience=granted)
    _, first = await tokens(browser, code)
    status, answer = await refresh(browser, first["refresh_token"], **named)
    assert (status, answer["error"]) == (400, "invalid_target")
    assert (await refresh(browser, first["refresh_token"]))[0] == 200
    code = await log_in(browser, scope="offline_access", audience=granted, prompt="login")
    status, answer = await tokens(browser, code, **named)
    assert (status, answer["error"]) == (400, "invalid_target")
