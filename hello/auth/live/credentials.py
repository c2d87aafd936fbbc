"""Which tokens does a live connection have, and are they still good?

There is one for each application with `setup` on the way to the handler. Usually that is one.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

from aiohttp import web

from hello.auth.protected_app import PROTECTION, Protection
from hello.auth.protection import ACCESS_TOKEN
from hello.auth.reading.awaiting import Awaiting, awaiting
from hello.auth.reading.body import hand_over
from hello.auth.reading.nested import validated_before
from hello.auth.reading.request import host_of
from hello.tokens import (
    AccessToken,
    AuthError,
    InvalidTokenError,
    Presented,
    Reason,
    UnauthorizedError,
    UnavailableError,
)
from hello.tokens.hooks import HookError


class _Held(NamedTuple):
    """A valid token, and how it was presented. A proof of its binding is not asked for again."""

    presented: Presented
    token: AccessToken


class Credentials:
    """The tokens of one connection. They are never changed, but replaced all at once.

    Raises RuntimeError if its request has no token, and none will come.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._host = host_of(request) or ""
        # The innermost application is the last one.
        self._protections = [
            app[PROTECTION] for app in request.match_info.apps if PROTECTION in app
        ]
        self._held: Mapping[Protection, _Held] = {}
        waiting = awaiting(request)
        if waiting is None and ACCESS_TOKEN not in request:
            raise RuntimeError(
                "auth.live needs a request with a token: its handler is public or optional, or "
                "auth.setup was not called"
            )
        hand_over(request)
        for protection in self._protections:
            if waiting is None or protection not in waiting.who:
                self._held = {**self._held, **self._of_request(protection)}

    @property
    def protection(self) -> Protection:
        """The application that answers for the connection."""
        return self._protections[-1]

    @property
    def expires_at(self) -> float:
        """When the first of the tokens expires, in seconds since the epoch."""
        return min(held.token.expires_at for held in self._held.values())

    def check_expiry(self) -> None:
        """Raise InvalidTokenError if one of the tokens has expired. There is no leeway here."""
        self._check_expiry(self._held)

    async def accept(self, text: str) -> None:
        """Take the token of the first message. Raises AuthError if it is refused."""
        held, waiting = dict(self._held), cast("Awaiting", awaiting(self._request))
        who = waiting.who
        for protection in self._protections:
            if protection in who:
                certificate = partial(protection.client_certificate, self._request)
                presented = Presented(token=text, host=self._host, certificate=certificate)
                token = await protection.validate(presented)
                await protection.require(self._request, token)
                held[protection] = _Held(replace(presented, proved=True), token)
        self._check_expiry(held)
        waiting.who = []  # nobody any more
        self._replace(held)
        for protection in self._protections:
            if protection in who:
                protection.tell(self._request, None)

    async def renew(self, text: str) -> None:
        """Take a new token in the place of the present one. Raises AuthError if it is refused.

        It has to have the same issuer and subject, and be bound to the same key, if to any. Who
        opened the connection has proved to have that key.
        """
        present, held = self._request[ACCESS_TOKEN].token, dict(self._held)
        for protection, (presented, token) in self._held.items():
            if token.token == present:
                fresh = replace(presented, token=text)
                new = await protection.validate(fresh)
                if not _is_renewal(new, token):
                    raise InvalidTokenError(Reason.SUBJECT, subject=new.subject)
                await self._require(protection, new)
                held[protection] = _Held(fresh, new)
        self._check_expiry(held)
        self._replace(held)

    async def check_again(self) -> None:
        """Check again what was checked at the start, except for the proof.

        Raises AuthError if it is refused, unless the tokens were replaced meanwhile.
        """
        checked = self._held
        try:
            for protection, held in checked.items():
                token = await protection.validate(held.presented)
                await self._require(protection, token)
        except Exception:
            if self._held is checked:
                raise

    def _check_expiry(self, all_held: Mapping[Protection, _Held]) -> None:
        now = self.protection.validator.timing.clock.time()
        for held in all_held.values():
            if now >= held.token.expires_at:
                raise InvalidTokenError(Reason.EXPIRED, subject=held.token.subject)

    async def _require(self, protection: Protection, token: AccessToken) -> None:
        """Raise AuthError as `require` does, and UnavailableError if a check cannot be asked."""
        try:
            await protection.require(self._request, token)
        except AuthError as refusal:
            if isinstance(refusal.__cause__, HookError):
                raise UnavailableError(refusal.reason, subject=refusal.subject) from None
            raise

    def _of_request(self, protection: Protection) -> dict[Protection, _Held]:
        try:
            presented = protection.presented_by(self._request, self._host)
        except UnauthorizedError:  # its handler is optional
            return {}
        token = validated_before(self._request, protection.basis) or self._request[ACCESS_TOKEN]
        return {protection: _Held(replace(presented, proofs=(), proved=True), token)}

    def _replace(self, held: Mapping[Protection, _Held]) -> None:
        self._held = {each: held[each] for each in self._protections if each in held}
        self._request[ACCESS_TOKEN] = [*self._held.values()][-1].token


def _is_renewal(new: AccessToken, old: AccessToken) -> bool:
    """Return whether two tokens are for the same subject, and bound to the same key."""
    return (
        new.subject is not None
        and (new.issuer, new.subject) == (old.issuer, old.subject)
        and new.claims.get("cnf") == old.claims.get("cnf")
    )
