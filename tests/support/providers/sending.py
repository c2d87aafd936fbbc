"""What is sent to a provider's code on its page: a token, and what is changed in it?"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, Key, OctKey

from hello.sandbox.issuer import OMIT, new_key, sign
from hello.sandbox.issuer.signing import changed
from support.pages import example

AUTHORIZATION = "Authorization"
_TIMES = ("iat", "nbf", "exp", "auth_time")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A token, as it is sent, and the code that it is sent to."""

    claims: dict[str, Any]
    header: dict[str, Any]
    code: str
    key: Key
    sent_in: str = AUTHORIZATION
    on_the_way: Callable[[str], str] = field(default=lambda token: token)

    @property
    def token(self) -> str:
        header = changed({"kid": self.key.kid}, self.header)
        return self.on_the_way(sign(header, changed(self.claims, {}), self.key))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request: a proxy sends its token without a scheme."""
        token = self.token
        scheme = "Bearer " if self.sent_in == AUTHORIZATION else ""
        return {self.sent_in: scheme + token} if token else {}


Change = Callable[[Sent], Sent]


def unchanged(sent: Sent) -> Sent:
    return sent


def jwk(key: Key, **members: Any) -> dict[str, Any]:
    """A public key, as most providers publish it."""
    return {**key.as_dict(private=False), "use": "sig", **members}


def key_set(key: Key) -> Any:
    return {"keys": [jwk(key)]}


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider on a page: how it signs, where its keys are, and what is sent by which row.

    `header` is what its tokens have in their header besides `alg`, `kid` and `typ`. If the page
    shows no token of its own, the token is that of `like`, with a `difference`. `publish` makes the
    document at `keys_at` of the key. If the page's own code fetches it, it is `asked` over http.
    """

    page: str
    keys_at: str
    sent: dict[str, Change]
    alg: str = "RS256"
    header: dict[str, Any] = field(default_factory=dict)
    sent_in: str = AUTHORIZATION
    like: str = ""
    difference: Change = unchanged
    publish: Callable[[Key], Any] = key_set
    asked: bool = False

    def shown(self, name: str, typ: Any, key: Key) -> Sent:
        """The token that the page shows, as if it had been issued now."""
        claims = json.loads(example(self.page, f"{self.like or name}-token"))
        later = int(time.time()) - claims["iat"]
        numbers = [each for each in _TIMES if isinstance(claims.get(each), int)]
        claims |= {each: claims[each] + later for each in numbers}
        return self.difference(
            Sent(
                claims=claims,
                header={"typ": typ, "alg": self.alg, **self.header},
                code=example(self.page, f"{name}-app"),
                key=key,
                sent_in=self.sent_in,
            )
        )


def having(claims: dict[str, Any], **header: Any) -> Change:
    return lambda sent: replace(
        sent, claims={**sent.claims, **claims}, header={**sent.header, **header}
    )


def settings(old: str, new: str) -> Change:
    def change(sent: Sent) -> Sent:
        assert old in sent.code
        return replace(sent, code=sent.code.replace(old, new))

    return change


def instead(token: str) -> Change:
    return lambda sent: replace(sent, on_the_way=lambda _: token)


def with_a_secret(alg: str, secret: bytes = b"0123456789abcdef" * 4) -> Change:
    key = OctKey.import_key(secret, {"kid": "shared"})
    return lambda sent: replace(sent, header={**sent.header, "alg": alg}, key=key)


@cache
def another_key() -> Key:
    """A key that is not the provider's, or only its next one."""
    return new_key()


@cache
def elliptic_key() -> Key:
    return ECKey.generate_key("P-256", {"kid": "2nMJtw"})


def with_key(make: Callable[[], Key], **header: Any) -> Change:
    return lambda sent: replace(sent, header={**sent.header, **header}, key=make())


def sent_in(header: str) -> Change:
    return lambda sent: replace(sent, sent_in=header)


def both(one: Change, two: Change) -> Change:
    return lambda sent: two(one(sent))


def id_token(client: str, **more: Any) -> Change:
    gone = ("scope", "scp", "permissions", "realm_access", "resource_access", "client_id", "cid")
    claims = {**dict.fromkeys(gone, OMIT), "aud": client, "nonce": "n-0S6_WzA2Mj", **more}
    return having(claims, typ="JWT")
