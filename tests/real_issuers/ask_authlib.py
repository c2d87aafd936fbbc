"""How are the tokens of an issuer made of PyPI's Authlib answered?"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from joserfc.jwk import RSAKey

from hello import auth
from real_issuers.asking import (
    API,
    CALLBACK,
    SCOPE,
    Browser,
    Client,
    Issuer,
    authorization,
    changed,
    look,
    running,
)
from real_issuers.installing import HERE, from_pypi, version_in_venv
from real_issuers.kinds import (
    Opaque,
    Signed,
    send_opaque,
    send_restarted,
    send_rotated,
    send_signed,
    send_unasked,
)
from real_issuers.report import Report
from support.program import free_port

MACHINE = Client("machine", "machine-secret")
BRIEF = Client("brief", "brief-secret")  # its tokens last for a second
STRANGER = Client("stranger", "stranger-secret")  # its tokens are for another API
WEB = Client("web", "web-secret")
API_BASIC = Client("api-basic", "api-basic-secret")
API_POST = Client("api-post", "api-post-secret", "client_secret_post")


class Server:
    """Starts and restarts at one port."""

    def __init__(self, folder: Path) -> None:
        self._python = from_pypi(folder / "authlib", "Authlib>=1.9", "flask>=3")
        self._port = free_port()
        self._log = folder / "authlib.log"
        self.url = f"http://127.0.0.1:{self._port}"
        self.version = version_in_venv(self._python, "Authlib")

    @asynccontextmanager
    async def started(self, *keys: RSAKey, kind: str) -> AsyncIterator[Issuer]:
        environ = {
            "PORT": str(self._port),
            "FORMAT": kind,
            "CALLBACK": CALLBACK,
            "KEYS": json.dumps({"keys": [key.as_dict(private=True) for key in keys]}),
            "AUTHLIB_INSECURE_TRANSPORT": "1",  # http, on this machine
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [str(self._python), str(HERE / "authlib_server.py")]
        metadata = f"{self.url}/.well-known/oauth-authorization-server"
        async with (
            running(command, environ, self._port, self._log),
            Issuer.at(self.url, metadata) as issuer,
        ):
            yield issuer


async def ask(folder: Path) -> Report:
    server = await asyncio.to_thread(Server, folder)
    report = Report(f"Authlib {server.version}")
    trusted = auth.TrustedIssuer(issuer=server.url, audience=API)
    key = RSAKey.generate_key(2048, {"kid": "a"})
    starts = partial(server.started, kind="jwt")
    async with starts(key) as issuer:
        await send_signed(report, trusted, await _signed(issuer, report))
    await send_rotated(report, trusted, starts, _mint)
    starts = partial(server.started, key, kind="opaque")
    async with starts() as issuer:
        tokens = await _opaque(issuer, report)
        await send_unasked(report, server.url, API, tokens)
        await send_opaque(report, server.url, API, (API_BASIC, API_POST), tokens)
    await send_restarted(report, server.url, API, API_BASIC, starts, _mint)
    return report


async def _mint(issuer: Issuer) -> str:
    return await issuer.access_token(MACHINE, scope=SCOPE)


async def _log_in(issuer: Issuer) -> dict[str, Any]:
    """Return the tokens of a person."""
    query = authorization(WEB, scope=f"openid {SCOPE}")
    async with Browser.opened() as browser:
        landed = await browser.log_in(issuer.metadata["authorization_endpoint"], query)
    return await issuer.exchange(WEB, landed)


async def _signed(issuer: Issuer, report: Report) -> Signed:
    token = await _mint(issuer)
    person = await _log_in(issuer)
    refresh = person["refresh_token"]
    renewed = await issuer.grant(WEB, "refresh_token", refresh_token=refresh)
    look(report, "access token of a program", token)
    look(report, "access token of a person", person["access_token"])
    look(report, "ID token", person["id_token"])
    active = {"active": True, "iss": issuer.url, "token_type": "Bearer"}
    for what, each, expected in (
        ("a program's access token, JWT", token, {**active, "aud": [API]}),
        ("a person's access token, JWT", person["access_token"], {**active, "aud": [API]}),
        ("a refresh token, beside JWTs", refresh, active),
        ("an ID token, beside JWTs", person["id_token"], 401),
    ):
        await issuer.introspect(report, what, each, API_BASIC, expected=expected)
    return Signed(
        program=token,
        unscoped=await issuer.access_token(MACHINE),
        other=await issuer.access_token(STRANGER, scope=SCOPE),
        brief=await issuer.access_token(BRIEF, scope=SCOPE),
        person=person,
        renewed=renewed["access_token"],
    )


async def _opaque(issuer: Issuer, report: Report) -> Opaque:
    person = await _log_in(issuer)
    unscoped = await issuer.access_token(MACHINE)
    other = await issuer.access_token(STRANGER, scope=SCOPE)
    brief = await issuer.access_token(BRIEF, scope=SCOPE)
    tokens = Opaque(
        program=await _mint(issuer),
        person=person["access_token"],
        unscoped=unscoped,
        other=other,
        revoked=await _mint(issuer),
        brief=brief,
        refresh=person["refresh_token"],
        id_token=person["id_token"],
    )
    await issuer.revoke(tokens.revoked, MACHINE)
    await asyncio.sleep(1.5)
    active = {"active": True, "iss": issuer.url, "aud": API, "token_type": "Bearer"}
    inactive = {"active": False}
    for client in (API_BASIC, API_POST):
        await issuer.introspect(
            report, "a program's access token", tokens.program, client, expected=active
        )
    for what, token, expected in (
        ("a person's access token", tokens.person, active),
        ("an access token for another API", other, {"active": True}),
        ("an access token without scopes", unscoped, active),
        ("a revoked access token", tokens.revoked, inactive),
        ("an expired access token", brief, inactive),
        ("a changed access token", changed(tokens.program), inactive),
        ("a refresh token", tokens.refresh, active),
        ("an ID token", person["id_token"], inactive),
    ):
        await issuer.introspect(report, what, token, API_BASIC, expected=expected)
    hint = {"token_type_hint": "access_token"}
    said = "a refresh token, with token_type_hint=access_token"
    await issuer.introspect(report, said, tokens.refresh, API_BASIC, expected=inactive, **hint)
    wrong = API_BASIC._replace(secret="wrong")
    said = "an access token, with a wrong secret"
    await issuer.introspect(report, said, tokens.program, wrong, expected=401)
    return tokens
