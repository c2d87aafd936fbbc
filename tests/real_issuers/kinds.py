"""What is sent to an application, and what has to come back? It differs by the kind of token."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from joserfc.jwk import RSAKey

from hello import auth
from real_issuers.asking import LEEWAY, Api, Asking, Client, Issuer, changed, protected, with_claims
from real_issuers.report import Report

INTROSPECTION: Any = getattr(auth, "Introspection", None)  # not in every version of hello.auth

Starts = Callable[..., AbstractAsyncContextManager[Issuer]]
"""Starts an issuer with some keys. It signs with the first of them."""
Mints = Callable[[Issuer], Awaitable[str]]


class Signed(NamedTuple):
    """Tokens of an issuer that signs its access tokens."""

    program: str
    unscoped: str
    other: str  # for another API
    brief: str  # it lasts for a second
    person: Mapping[str, str]  # what the token endpoint answers
    renewed: str


async def send_signed(
    report: Report,
    trusted: auth.TrustedIssuer,
    tokens: Signed,
    *,
    refresh: str = "malformed",
    typ: str = "at+jwt",
) -> None:
    """Send JWTs. `refresh` is why the refresh token is refused."""
    async with protected(trusted) as api, protected(trusted, strict=True) as strict_api:
        asking, strict = Asking(api, report, "JWT"), Asking(strict_api, report, "JWT")
        await asking.send("a program's token", tokens.program, 200)
        await asking.send("the same, where a scope is required", tokens.program, 200, "/reports")
        unscoped = "a token without that scope"
        await asking.send(unscoped, tokens.unscoped, (403, "scope"), "/reports")
        await asking.send("the same, where no scope is required", tokens.unscoped, 200)
        await asking.send("a token for another API", tokens.other, (401, "audience"))
        damaged = changed(tokens.program)
        await asking.send("a token whose signature was changed", damaged, (401, "signature"))
        forged = with_claims(tokens.program, sub="root")
        await asking.send("a token whose sub was changed", forged, (401, "signature"))
        persons = tokens.person["access_token"]
        await asking.send("a person's token", persons, 200, "/reports")
        strict_status = 200 if typ == "at+jwt" else (401, "type")
        await strict.send("a person's token, with strict=True", persons, strict_status)
        await asking.send("a renewed token", tokens.renewed, 200, "/reports")
        await asking.send("the ID token", tokens.person["id_token"], (401, "audience"))
        await asking.send("the refresh token", tokens.person["refresh_token"], (401, refresh))
        await asyncio.sleep(1 + LEEWAY)
        await asking.send("an expired token", tokens.brief, (401, "expired"))


async def send_rotated(
    report: Report, trusted: auth.TrustedIssuer, starts: Starts, mints: Mints
) -> None:
    """Send JWTs while the issuer changes its keys."""
    first, second, third, replaced = (
        RSAKey.generate_key(2048, {"kid": kid}) for kid in ("first", "second", "third", "third")
    )
    cooldown = 0.1  # seconds; 10 is the default
    async with protected(trusted, jwks_cooldown=cooldown) as api:
        asking = Asking(api, report, "JWT")
        async with starts(first) as issuer:
            old = await mints(issuer)
            await asking.send("a token of the first key", old, 200)
        await asking.send("the same, while the issuer is down", old, 200)
        async with starts(second, first) as issuer:
            await asking.send("a token of a second key", await mints(issuer), 200)
            await asking.send("one of the first key, which is still published", old, 200)
        await asyncio.sleep(cooldown)
        async with starts(third) as issuer:
            newest = await mints(issuer)
            await asking.send("one of a third key, after a restart", newest, 200)
            sent = "one of the first key, which is not published any more"
            await asking.send(sent, old, (401, "unknown_key"))
        await asyncio.sleep(cooldown)
        async with starts(replaced) as issuer:
            await asking.send("one of a new key with the third's kid", await mints(issuer), 200)
            await asking.send("one of the third key", newest, (401, "signature"))


class Opaque(NamedTuple):
    """Tokens of an issuer that is asked about them."""

    program: str
    person: str
    unscoped: str | None
    other: str | None  # for another API
    revoked: str
    brief: str | None  # it is expired by now
    refresh: str
    id_token: str | None


def asks(
    issuer: str,
    audience: str | Collection[str],
    client: Client,
    *,
    audience_claim: str = "aud",
    **more: Any,
) -> AbstractAsyncContextManager[Api]:
    """Serve an application that is a client of an issuer and asks it about tokens."""
    credentials = (
        {"private_key": client.key.as_dict(private=True)}
        if client.key is not None
        else {"client_secret": client.secret}
    )
    trusted: Any = auth.TrustedIssuer  # in other versions, it takes no introspection
    introspection = INTROSPECTION(client_id=client.id, method=client.method, **credentials, **more)
    return protected(
        trusted(
            issuer=issuer,
            audience=audience,
            audience_claim=audience_claim,
            introspection=introspection,
        )
    )


async def send_opaque(
    report: Report,
    issuer: str,
    audience: str | Collection[str],
    clients: tuple[Client, ...],
    tokens: Opaque,
    *,
    kind: str = "opaque",
    **options: Any,
) -> None:
    """Send tokens to an application that asks about them, if this version can ask."""
    if INTROSPECTION is None:
        return
    first, *others = clients
    if "audience_claim" in options:
        kind = f"{kind}, {options['audience_claim']} compared"
    async with asks(issuer, audience, first, **options) as api:
        asking = Asking(api, report, kind)
        await asking.send("a program's token", tokens.program, 200)
        await asking.send("the same, again", tokens.program, 200)
        await asking.send("the same, where a scope is required", tokens.program, 200, "/reports")
        await asking.send("a person's token", tokens.person, 200, "/reports")
        if tokens.unscoped is not None:
            await asking.send("a token without that scope", tokens.unscoped, 403, "/reports")
        for what, token in (
            ("a token for another API", tokens.other),
            ("a changed token", changed(tokens.program)),
            ("a revoked token", tokens.revoked),
            ("an expired token", tokens.brief),
            ("the refresh token", tokens.refresh),
            ("the ID token", tokens.id_token),
        ):
            if token is not None:
                await asking.send(what, token, 401)
    for client in others:
        async with asks(issuer, audience, client, **options) as api:
            sent = f"a program's token, asked about with {client.method}"
            await Asking(api, report, kind).send(sent, tokens.program, 200)
    wrong = first._replace(secret="wrong")
    async with asks(issuer, audience, wrong, **options) as api:
        sent = "a program's token, asked about with a wrong secret"
        await Asking(api, report, kind).send(sent, tokens.program, 503)


async def send_expired(
    report: Report, issuer: str, audience: str, client: Client, token: str, *, kind: str
) -> None:
    """Send an expired token to an application that asks about it."""
    if INTROSPECTION is None:
        return
    async with asks(issuer, audience, client) as api:
        await Asking(api, report, kind).send("an expired token", token, 401)


async def send_unasked(report: Report, issuer: str, audience: str, tokens: Opaque) -> None:
    """Send tokens to an application that knows JWTs alone."""
    async with protected(auth.TrustedIssuer(issuer=issuer, audience=audience)) as api:
        asking = Asking(api, report, "opaque, without introspection")
        await asking.send("a program's token", tokens.program, (401, "malformed"))
        if tokens.id_token is not None:
            await asking.send("the ID token", tokens.id_token, (401, "audience"))


async def send_restarted(
    report: Report,
    issuer: str,
    audience: str,
    client: Client,
    starts: Callable[[], AbstractAsyncContextManager[Issuer]],
    mints: Mints,
    *,
    kept: bool = False,
) -> None:
    """Send opaque tokens while the issuer is down, and after its restart.

    `kept` says that the issuer remembers its tokens.
    """
    if INTROSPECTION is None:
        return
    async with asks(issuer, audience, client) as api:
        asking = Asking(api, report, "opaque")
        async with starts() as running:
            old, unseen = await mints(running), await mints(running)
            await asking.send("a token, before the issuer stops", old, 200)
        await asking.send("another token, while the issuer is down", unseen, 503)
        async with starts() as running:
            await asyncio.sleep(2)  # attempts back off
            sent = f"that one, after a restart with{'' if kept else 'out'} its tokens"
            await asking.send(sent, unseen, 200 if kept else 401)
            await asking.send("a token of the restarted issuer", await mints(running), 200)
