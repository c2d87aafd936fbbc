"""How are the tokens of an issuer made of PyPI's django-oauth-toolkit answered?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from joserfc.jwk import RSAKey

from real_issuers.asking import (
    API,
    CALLBACK,
    OTHER_API,
    SCOPE,
    Asking,
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
    INTROSPECTION,
    Opaque,
    asks,
    send_expired,
    send_opaque,
    send_restarted,
    send_unasked,
)
from real_issuers.report import Report
from support.program import free_port

MACHINE = Client("machine", "machine-secret")
STRANGER = Client("stranger", "stranger-secret")  # a client of another API
WEB = Client("web", "web-secret")
MY_API = Client("my-api", "my-api-secret")
MY_API_POST = MY_API._replace(method="client_secret_post")


class Server:
    """Starts and restarts at one port, with one database."""

    def __init__(self, folder: Path) -> None:
        self._python = from_pypi(folder / "django", "django-oauth-toolkit>=3.4")
        self._port = free_port()
        self._log = folder / "django.log"
        self._database = folder / "django.db"
        self._database.unlink(missing_ok=True)
        self._key = RSAKey.generate_key(2048).as_pem(private=True).decode()
        self._root = f"http://127.0.0.1:{self._port}"
        self.url = f"{self._root}/o"
        own, django = (
            version_in_venv(self._python, name) for name in ("django-oauth-toolkit", "Django")
        )
        self.version = f"{own} (Django {django})"

    @asynccontextmanager
    async def started(self, lifetime: int = 600) -> AsyncIterator[Issuer]:
        environ = {
            "PORT": str(self._port),
            "DATABASE": str(self._database),
            "KEY": self._key,
            "LIFETIME": str(lifetime),
            "CALLBACK": CALLBACK,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [str(self._python), str(HERE / "django_server.py")]
        # Only the second one names the endpoints for introspection and revocation.
        metadata = (
            f"{self.url}/.well-known/openid-configuration",
            f"{self._root}/.well-known/oauth-authorization-server/o",
        )
        async with (
            running(command, environ, self._port, self._log),
            Issuer.at(self.url, *metadata) as issuer,
        ):
            yield issuer


async def ask(folder: Path) -> Report:
    server = await asyncio.to_thread(Server, folder)
    report = Report(f"django-oauth-toolkit {server.version}")
    async with server.started(lifetime=1) as issuer:
        brief = await _mint(issuer)
    await asyncio.sleep(1.5)
    async with server.started() as issuer:
        tokens = await _opaque(issuer, report, brief)
        await send_unasked(report, server.url, API, tokens)
        await send_expired(report, server.url, API, MY_API, brief, kind="opaque")
        await send_opaque(report, server.url, API, (MY_API, MY_API_POST), tokens)
        await _send_by_client(issuer, report)
        await _send_found(issuer, report, tokens.program)
    await send_restarted(report, server.url, API, MY_API, server.started, _mint, kept=True)
    return report


async def _mint(issuer: Issuer) -> str:
    return await issuer.access_token(MACHINE, resource=API, scope=SCOPE)


async def _log_in(issuer: Issuer, **more: str) -> dict[str, Any]:
    """Return the tokens of a person."""
    query = authorization(WEB, scope=f"openid {SCOPE}", **more)
    endpoint = issuer.metadata["authorization_endpoint"]
    logs_in = {"username": "alice", "password": "password"}
    async with Browser.opened() as browser:
        landed = await browser.log_in(endpoint, query, logs_in, {"allow": "Authorize"})
    return await issuer.exchange(WEB, landed)


async def _opaque(issuer: Issuer, report: Report, brief: str) -> Opaque:
    person = await _log_in(issuer, resource=API)
    unscoped = await issuer.access_token(MACHINE, resource=API)
    other = await issuer.access_token(MACHINE, resource=OTHER_API, scope=SCOPE)
    look(report, "ID token", person["id_token"])
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
    without_resource = await issuer.access_token(MACHINE, scope=SCOPE)
    active = {"active": True, "client_id": "machine", "aud": [API]}
    inactive = {"active": False}
    for client in (MY_API, MY_API_POST):
        await issuer.introspect(
            report, "a program's access token", tokens.program, client, expected=active
        )
    for what, token, expected in (
        ("a person's access token", tokens.person, {**active, "client_id": "web"}),
        ("an access token for another API", other, {**active, "aud": [OTHER_API]}),
        ("an access token without the scope", unscoped, active),
        (
            "an access token that was requested without a resource",
            without_resource,
            {"active": True, "client_id": "machine", "scope": SCOPE},
        ),
        ("a revoked access token", tokens.revoked, inactive),
        ("an expired access token", brief, inactive),
        ("a changed access token", changed(tokens.program), inactive),
        ("a refresh token", tokens.refresh, inactive),
        ("an ID token", person["id_token"], inactive),
    ):
        await issuer.introspect(report, what, token, MY_API, expected=expected)
    hint = {"token_type_hint": "refresh_token"}
    said = "a refresh token, with token_type_hint=refresh_token"
    await issuer.introspect(report, said, tokens.refresh, MY_API, expected=inactive, **hint)
    wrong = MY_API._replace(secret="wrong")
    said = "an access token, with a wrong secret"
    await issuer.introspect(report, said, tokens.program, wrong, expected=403)
    return tokens


async def _send_by_client(issuer: Issuer, report: Report) -> None:
    """Send tokens that were requested without a resource, which have no aud."""
    person = await _log_in(issuer)
    revoked = await issuer.access_token(MACHINE, scope=SCOPE)
    await issuer.revoke(revoked, MACHINE)
    tokens = Opaque(
        program=await issuer.access_token(MACHINE, scope=SCOPE),
        person=person["access_token"],
        unscoped=await issuer.access_token(MACHINE),
        other=await issuer.access_token(STRANGER, scope=SCOPE),
        revoked=revoked,
        brief=None,
        refresh=person["refresh_token"],
        id_token=person["id_token"],
    )
    clients = frozenset({"machine", "web"})
    # Its answers have no token_type, and it says of no refresh token that it is active.
    options: dict[str, Any] = {"audience_claim": "client_id", "only_access_tokens": True}
    await send_opaque(report, issuer.url, clients, (MY_API,), tokens, **options)


async def _send_found(issuer: Issuer, report: Report, token: str) -> None:
    """Send a token to an application that was told where to ask, and not found it out."""
    if INTROSPECTION is None:
        return
    endpoint = issuer.metadata["introspection_endpoint"]
    async with asks(issuer.url, API, MY_API, endpoint=endpoint) as api:
        sent = "a program's token, with endpoint="
        await Asking(api, report, "opaque").send(sent, token, 200)
