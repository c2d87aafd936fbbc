"""What does the log say besides the reason, and can a client write into it?"""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.certificates import Identity, identity
from support.proofs import bound_to, proof
from support.protecting import new_handler, status

Start = Callable[[ApiServer], Awaitable[Client]]
PUBLIC = "https://api.example.com/v1"


@pytest.fixture
def serve(issuer: Issuer, aiohttp_client: Start) -> Callable[..., Awaitable[Client]]:
    async def start(dpop: Any = "allowed", **options: Any) -> Client:
        app = web.Application()
        validator = auth.TokenValidator(issuer=issuer.url, audience=issuer.audience, dpop=dpop)
        auth.setup(app, validator, **options)
        app.router.add_get("/{path:.*}", new_handler())
        return await aiohttp_client(ApiServer(app))

    return start


def detail(caplog: pytest.LogCaptureFixture) -> str:
    """The detail of the only refusal, which also stands at the end of its line."""
    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    found = str(vars(record)["detail"])
    assert record.getMessage().endswith(f" from=127.0.0.1 {found}")
    return found


SECRET = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("htu", "has"),
    [
        ("http://127.0.0.1:6060/messages", "http://127.0.0.1:6060/messages"),
        ("https://api.example.com/messages/7?token=secret", "https://api.example.com/messages/..."),
        ("https://API.example.com:443/v2/", "https://api.example.com/v2/..."),
        ("https://api.example.com", "https://api.example.com/"),
        (f"https://api.example.com/{SECRET}", "https://api.example.com/..."),
        (f"https://api.example.com/x/{SECRET}", "https://api.example.com/x/..."),
        (f"https://a.example/?{SECRET}#{SECRET}", "https://a.example/"),
        (f"https://{SECRET}@a.example/", "no URL"),
        (f"https://{'a.' * 120}example/", f"https://{'a.' * 46}"),
        ("https://a.example/\r\nERROR hello: forged", "no URL"),
        ("https://a.example/\x1b[31m", "no URL"),
        ("https://a.example/ü", "no URL"),
        ("https://a.example/a b", "no URL"),
        (SECRET, "no URL"),
        ("", "no URL"),
        ("urn:x:secret", "no URL"),
        ({"secret": 1}, "no URL"),
        (None, "no URL"),
    ],
)
async def test_a_proof_for_another_address_is_logged_with_both(
    serve: Callable[..., Awaitable[Client]],
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    htu: Any,
    has: str,
) -> None:
    """So that a wrong PUBLIC_URL shows. What may be a token, or a second line, does not."""
    client, token = await serve(public_url=PUBLIC), issuer.mint(claims=bound_to())
    made = proof(token, now=time.time(), url=f"{PUBLIC}/messages", htu=htu)
    headers = {"Authorization": f"DPoP {token}", "DPoP": made}
    assert await status(client, path="/messages", headers=headers) == 401
    found = re.fullmatch(r"proof=htu: wants (\S+) has (.*)", detail(caplog))
    assert found is not None
    assert found[1] == "https://api.example.com/v1/..."
    assert found[2].startswith(has)
    assert len(found[2]) <= 140
    assert found[2].isprintable()
    assert not [each for each in ("eyJ", "secret", "forged") if each in caplog.text]


@pytest.mark.parametrize(("dpop", "said"), [("off", "scheme=DPoP"), ("allowed", "no proof")])
async def test_the_scheme_is_named_where_bound_tokens_are_off(
    serve: Callable[..., Awaitable[Client]],
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    dpop: str,
    said: str,
) -> None:
    headers = {"Authorization": f"dpop {issuer.mint(claims=bound_to())}"}
    assert await status(await serve(dpop), headers=headers) == 401
    assert detail(caplog) == said


@pytest.mark.parametrize("value", ["Basic eyJ", "eyJhbGciOiJSUzI1NiJ9.e30.x", "DPoPeyJ", "Token x"])
async def test_no_other_scheme_is_named_because_it_may_be_a_token(
    serve: Callable[..., Awaitable[Client]], caplog: pytest.LogCaptureFixture, value: str
) -> None:
    assert await status(await serve("off"), headers={"Authorization": value}) == 401
    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert vars(record)["detail"] is None
    assert "eyJ" not in record.getMessage()


@pytest.fixture
def mine(tmp_path: Path) -> Identity:
    return identity(tmp_path, "mine")


@pytest.mark.parametrize(
    ("proxies", "values", "said"),
    [
        (None, [], "the connection has no TLS"),
        (["10.0.0.7"], ["{pem}"], "the request comes from none of the proxies"),
        (["127.0.0.1"], [], "there is no header X-Cert"),
        (["127.0.0.1"], ["{pem}", "{pem}"], "there are several headers X-Cert"),
        (["127.0.0.1"], ["secret"], "what was handed over is none"),
        (["127.0.0.1"], [""], ""),
    ],
)
async def test_why_there_is_no_certificate_is_named(
    serve: Callable[..., Awaitable[Client]],
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    mine: Identity,
    proxies: list[str] | None,
    values: list[str],
    said: str,
) -> None:
    header = None if proxies is None else auth.CertificateHeader(proxies=proxies, name="X-Cert")
    client = await serve(client_certificate=header)
    sent = [("X-Cert", value.format(pem=mine.pem.replace("\n", "%0A"))) for value in values]
    headers = [*bearer(issuer.mint(claims=mine.bound)).items(), *sent]
    async with client.get("/", headers=headers) as response:
        assert response.status == 401
    assert detail(caplog) == f"no client certificate{said and ': '}{said}"
    assert "secret" not in caplog.text
