"""How is an issuer asked: with which headers, at which addresses, through which proxy?"""

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from hello.auth import FetchError, Reason, TokenValidator, TrustedIssuer
from hello.tokens.keys.fetch import fetch
from support.api import AUDIENCE
from support.clock import FakeClock
from support.failing_issuer import JWKS, METADATA, OAUTH_METADATA, FailingIssuer
from support.naming import naming
from support.validators import presented, reason_for

Serve = Callable[[web.Application], Awaitable[TestServer]]


def media_types(request: web.Request) -> set[str]:
    accepted = request.headers.get("Accept", "*/*").split(",")
    return {each.split(";")[0].strip() for each in accepted}


async def strict_about_types(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
    """As the API server of Kubernetes is: it has key sets as key sets, only."""
    if request.path == JWKS and "application/jwk-set+json" not in media_types(request):
        return web.Response(status=406)
    if request.path != JWKS and "application/json" not in media_types(request):
        return web.Response(status=406)
    return web.json_response(issuer.key_set() if request.path == JWKS else issuer.metadata())


async def behind_a_firewall(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
    """Some refuse the names of libraries, and requests without a name."""
    agent = request.headers.get("User-Agent", "python").lower()
    if any(name in agent for name in ("python", "aiohttp", "curl")):
        return web.Response(status=403, text="error code: 1010")
    return web.json_response(issuer.key_set() if request.path == JWKS else issuer.metadata())


@pytest.mark.parametrize("answer", [strict_about_types, behind_a_firewall])
async def test_an_issuer_may_be_choosy(
    issuer: FailingIssuer, validator: TokenValidator, answer: object
) -> None:
    issuer.answers[METADATA] = issuer.answers[JWKS] = answer  # type: ignore[assignment]
    await validator.validate(presented(issuer.mint()))


PATHS = {
    "": [METADATA, OAUTH_METADATA],
    "/": [METADATA, OAUTH_METADATA],
    "/tenant": [f"/tenant{METADATA}", f"{OAUTH_METADATA}/tenant", f"{METADATA}/tenant"],
    "/a/b/": [f"/a/b{METADATA}", f"{OAUTH_METADATA}/a/b", f"{METADATA}/a/b"],
}


@pytest.mark.parametrize(
    ("path", "place"),
    [(path, place) for path, places in PATHS.items() for place in range(len(places))],
)
async def test_each_form_of_discovery_is_tried(
    issuer: FailingIssuer, clock: FakeClock, path: str, place: int
) -> None:
    """OpenID Connect Discovery §4, RFC 8414 §3.1, and what clients of MCP try."""
    name = issuer.url.rstrip("/") + path

    async def metadata(issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"issuer": name, "jwks_uri": f"{issuer.url}{JWKS[1:]}"})

    async def missing(_issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    issuer.answers[METADATA] = missing
    issuer.answers[PATHS[path][place]] = metadata
    validator = TokenValidator(issuer=name, audience=AUDIENCE, clock=clock)
    await validator.validate(presented(issuer.mint(claims={"iss": name})))
    asked = [each for each in issuer.requests if each != JWKS]
    assert asked == PATHS[path][: place + 1]
    await validator.close()


async def test_a_redirect_is_refused_with_what_to_do(issuer: FailingIssuer) -> None:
    async def elsewhere(issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"{issuer.trap}/jwks.json")

    issuer.answers[JWKS] = elsewhere
    with pytest.raises(FetchError, match=naming(302, "jwks_uri")):
        await fetch(f"{issuer.url}{JWKS[1:]}")
    assert issuer.trapped == 0


@pytest.fixture
async def proxy(aiohttp_server: Serve, issuer: FailingIssuer) -> tuple[str, list[str]]:
    """The URL of a proxy, and what it was asked for. It has the issuer's keys for every host."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.json_response(issuer.key_set())

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    server = await aiohttp_server(app)
    return str(server.make_url("/")), asked


KEYS_ELSEWHERE = "http://keys.internal.example:8080/jwks"


@pytest.mark.parametrize(
    ("variables", "proxied"),
    [
        ({"HTTP_PROXY": "{proxy}"}, True),
        ({"http_proxy": "{proxy}"}, True),
        ({"ALL_PROXY": "{proxy}"}, True),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "example.com"}, True),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "internal.example"}, False),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "*"}, False),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "keys.internal.example:8080"}, False),
        ({"HTTP_PROXY": "{proxy}", "NO_PROXY": "keys.internal.example:8443"}, True),
        ({"HTTPS_PROXY": "{proxy}"}, False),
        ({}, False),
    ],
)
async def test_a_proxy_is_used_as_the_environment_says(
    issuer: FailingIssuer,
    clock: FakeClock,
    proxy: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    *,
    proxied: bool,
) -> None:
    url, asked = proxy
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(proxy=url))
    trusted = TrustedIssuer(
        issuer=issuer.url, audience=AUDIENCE, jwks_uri=KEYS_ELSEWHERE, allow_insecure_http=True
    )
    validator = TokenValidator(issuers=[trusted], clock=clock)
    reason = await reason_for(validator, issuer.mint())
    assert reason is (None if proxied else Reason.KEYS_UNAVAILABLE)
    assert asked == ([KEYS_ELSEWHERE] if proxied else [])
    await validator.close()


async def test_this_machine_is_never_asked_through_a_proxy(
    issuer: FailingIssuer,
    validator: TokenValidator,
    proxy: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, asked = proxy
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("ALL_PROXY", url)
    await validator.validate(presented(issuer.mint()))
    assert not asked


async def test_the_password_of_a_proxy_is_not_logged(
    issuer: FailingIssuer,
    aiohttp_server: Serve,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=407)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    server = await aiohttp_server(app)
    port = server.port
    trusted = TrustedIssuer(
        issuer=issuer.url, audience=AUDIENCE, jwks_uri="https://keys.example.com/jwks"
    )
    for proxy in (f"http://me:my-password@127.0.0.1:{port}", "me:my-password@127.0.0.1:1"):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        validator = TokenValidator(issuers=[trusted], clock=clock)
        assert await reason_for(validator, issuer.mint()) is Reason.KEYS_UNAVAILABLE
    assert caplog.text.count("keys_unavailable") == 2
    assert "my-password" not in caplog.text


ASK = """
import asyncio, sys
from hello.tokens.keys.fetch import fetch
print(asyncio.run(fetch(sys.argv[1])).decode())
"""


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_private_authority_is_trusted_by_its_file(
    issuer: FailingIssuer, tmp_path: Path, *, trusted: bool
) -> None:
    """SSL_CERT_FILE, which OpenSSL reads in every program."""
    port = int(issuer.untrusted.rpartition(":")[2])
    certificate = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    file = tmp_path / "ca.pem"
    file.write_text(certificate)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ASK,
        f"{issuer.untrusted}/jwks.json",
        env={"SSL_CERT_FILE": str(file)} if trusted else {},
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode == 0) is trusted
    assert ('"keys"' in out.decode()) is trusted
    assert ("CERTIFICATE_VERIFY_FAILED" in err.decode()) is not trusted
    assert issuer.trapped == trusted
