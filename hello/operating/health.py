"""Is this process alive, and can it verify tokens?

Whoever restarts processes asks `/livez`, and whoever distributes requests asks `/readyz`. To ask
causes no fetch of keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from aiohttp import web

from hello import auth
from hello.auth import TokenValidator, Validator
from hello.connections import is_draining
from hello.logs.access import UNLOGGED
from hello.tokens.keys.fetch_log import timestamp
from hello.tokens.keys.fetched import FetchedKeys
from hello.tokens.keys.state import KeysState, State

from .watched import token_validators, validators


@dataclass(slots=True)
class _Health:
    """The validators of an application, and whether it is about to stop."""

    validators: list[Validator] = field(default_factory=list)
    draining: bool = False


_HEALTH = web.AppKey("HEALTH", _Health)


def setup(app: web.Application) -> None:
    """Serve /livez and /readyz, which are public and have no line in the access log.

    /livez answers 200 as long as the event loop runs. /readyz answers 503 while the process stops,
    and while no token can be verified because the keys of all listed issuers are missing after a
    failed fetch. In that state, keys are fetched again without a token, as often as the policy of
    the keys allows. Tenants of a resolver, and issuers that are asked about opaque tokens, never
    make a process unready; neither does a validator of the application's own.

    Call it before the application starts.
    """
    app[_HEALTH] = _Health()
    app.router.add_get("/livez", _live)
    app.router.add_get("/readyz", _ready)
    app.on_startup.append(_start)
    app.on_shutdown.append(_drain)


def is_ready(validators: Sequence[Validator]) -> bool:
    """Return whether tokens of at least one issuer can be verified, as far as is known."""
    return not validators or any(map(_can_verify, validators))


def _can_verify(validator: Validator) -> bool:
    if not isinstance(validator, TokenValidator) or not validator.issuers.listed:
        return True
    sources = [
        validator.issuers.keys_of(issuer, algorithm)
        for issuer in validator.issuers.listed
        for algorithm in issuer.algorithms
    ]
    return validator.introspected is not None or any(
        not isinstance(source, FetchedKeys) or source.state.state is not State.MISSING
        for source in sources
    )


@auth.public
async def _live(request: web.Request) -> web.Response:
    """Say that this process is alive."""
    request[UNLOGGED] = True
    return web.json_response({"status": "live"})


@auth.public
async def _ready(request: web.Request) -> web.Response:
    """Say whether this process can verify tokens."""
    request[UNLOGGED] = True
    health = request.app[_HEALTH]
    if health.draining or is_draining(request):
        return _unready({"status": "draining"})
    keys = [
        _shown(fetched.state)
        for validator in health.validators
        if isinstance(validator, TokenValidator) and validator.issuers.listed
        for fetched in validator.issuers.fetched
    ]
    if not is_ready(health.validators):
        return _unready({"status": "not_ready", "keys": keys})
    return web.json_response({"status": "ready", "keys": keys})


def _unready(said: dict[str, Any]) -> web.Response:
    return web.json_response(said, status=HTTPStatus.SERVICE_UNAVAILABLE)


def _shown(keys: KeysState) -> dict[str, str]:
    """Return what everybody may know: not whose keys they are, and not where they come from."""
    if keys.state is State.STALE and keys.usable_until is not None:
        return {"state": keys.state, "usable_until": timestamp(keys.usable_until)}
    return {"state": keys.state}


async def _start(app: web.Application) -> None:
    app[_HEALTH].validators = validators(app)
    for validator in token_validators(app):
        if validator.issuers.listed:
            for keys in validator.issuers.fetched:
                keys.try_again()


async def _drain(app: web.Application) -> None:
    app[_HEALTH].draining = True
