"""Which tokens does the sandbox's issuer make, and what does it publish?

It stands in for the tenant that a newcomer does not have, and for the issuer that tests need. Its
keys are made at start and never leave memory.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import uuid4

from joserfc.jwk import Key, import_key

from hello.tokens.bounded import check_names

from .clients.known import CLIENT_ID
from .memory import ExpiringStore, IssuedToken, TokenFamily
from .metadata import metadata_of
from .people import PEOPLE, Person
from .signing import OMIT, changed, new_key, sign

_JWT_ONLY = frozenset({"azp", "gty"})  # of an access token's claims, introspection leaves these out
_OPENID_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


class Issuer:
    """Makes tokens for an audience, signed or opaque, and publishes its keys.

    `url` is the `iss` of its tokens and ends with a slash; set it again once the port is known.
    `client_origin` is the origin of the client's pages: they may ask it, and it redirects to them.
    `resources` are other names of audiences, by which clients may ask for tokens (RFC 8707): each
    with the audience that it stands for.
    `permissions` are those of an administrator; a client with a secret gets whatever it asks for.
    `people` are those who can log in, by their `sub`.
    `lifetime` is that of an access token, in seconds. With `rfc9068` its signed access tokens have
    the profile of RFC 9068, and otherwise Auth0's own. With `registration` clients may register
    themselves (RFC 7591). `key` is the first signing key, or None to make one. `requests` counts
    the requests for each path. `access_tokens` are those that it gave.
    """

    def __init__(
        self,
        *,
        audience: str,
        url: str = "http://localhost:6061/",
        client_origin: str = "http://localhost:4040",
        resources: Mapping[str, str] | None = None,
        permissions: frozenset[str] = frozenset({"read:admin-messages"}),
        people: Mapping[str, Person] = PEOPLE,
        lifetime: int = 86400,
        rfc9068: bool = False,
        registration: bool = False,
        key: Key | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.audience = audience
        self.audiences: Mapping[str, str] = {audience: audience, **(resources or {})}
        self.client_origin = client_origin
        self.permissions = permissions
        self.people = people
        self.lifetime = lifetime
        self.rfc9068 = rfc9068
        self.registration = registration
        self.clock = clock
        self.requests: Counter[str] = Counter()
        self.access_tokens = ExpiringStore[IssuedToken](lifetime, self._now)
        self.client_keys: list[Key] = []
        self.published: list[Mapping[str, Any]] = []
        self.rotate(key)

    def rotate(self, key: Key | None = None) -> None:
        """Sign with another key from now on, and publish it beside the earlier ones."""
        self.key = key or new_key()
        self.publish(self.key)

    def publish(self, key: Key) -> None:
        """Add the public part of a key to the key set."""
        self.published.append(_public(key))

    def withdraw(self, key: Key) -> None:
        """Remove a key from the key set."""
        self.published = [jwk for jwk in self.published if jwk.get("kid") != key.kid]

    def register_client_key(self, key: Key) -> None:
        """Let the client authenticate by assertions that it signs with this key, too.

        It is what RFC 7523 §2.2 and OpenID Connect Core 1.0 §9 call `private_key_jwt`. Only the
        public part of the key is kept.
        """
        self.client_keys.append(import_key(key.as_dict(private=False)))

    def mint(
        self,
        *,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
        family: TokenFamily | None = None,
    ) -> str:
        """Return an access token such as a client gets for itself, with changes.

        `claims` and `header` replace the usual members; those that are OMIT are left out. `family`
        is that of the login that the token is for. Introspection knows the token, unless `key` is
        one that this issuer does not publish.
        """
        complete = {**self._usual_claims(), **(claims or {})}
        usual_header = {"typ": "at+jwt"} if self.rfc9068 else {}
        token = self.sign(complete, header={**usual_header, **(header or {})}, key=key)
        if key is None or _public(key) in self.published:
            contents = changed(complete, None)
            end = contents.get("exp", math.inf)
            issued = IssuedToken(_answer_about(contents), family)
            until = end if isinstance(end, int | float) else -math.inf
            self.access_tokens.add(issued, token, until=until)
        return token

    def bearer(
        self,
        *,
        permissions: Collection[str] = (),
        scopes: Collection[str] = (),
        claims: Mapping[str, Any] | None = None,
    ) -> dict[str, str]:
        """Return the headers of a request with an access token that grants this.

        `claims` replace others of its claims, as in `mint`. Raises ValueError if `permissions` or
        `scopes` is a string and not a list of strings.
        """
        check_names("permissions", permissions)
        check_names("scopes", scopes)
        scope = {"scope": " ".join(scopes)} if scopes else {}
        granted = {"permissions": list(permissions), **scope}
        return {"Authorization": f"Bearer {self.mint(claims={**granted, **(claims or {})})}"}

    def opaque(
        self,
        *,
        claims: Mapping[str, Any] | None = None,
        family: TokenFamily | None = None,
    ) -> str:
        """Return an access token that only introspection can read (RFC 7662 §2.2).

        `claims` replace the usual members of the answer, `active` included; those that are OMIT are
        left out. Whatever the answer then says, the token is valid for `lifetime` seconds. `family`
        is that of the login that the token is for.
        """
        usual = changed(self._usual_claims(), None)
        answer = changed(_answer_about({**usual, **(claims or {})}), claims)
        return self.access_tokens.add(IssuedToken(answer, family), until=usual["exp"])

    def revoke(self, token: str) -> None:
        """End an access token, signed or opaque: from now on introspection says it is inactive.

        The signature of a signed one stays good. A token that is unknown is ignored, as by RFC 7009
        §2.2.
        """
        self.access_tokens.pop(token)

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
    ) -> str:
        """Return a token with these claims, and with `iss`, `iat`, `exp` and `jti` if need be."""
        key = key or self.key
        usual_header = {"alg": "RS256", "typ": "JWT", "kid": key.kid or OMIT}
        return sign(changed(usual_header, header), changed(self._origin(), claims), key)

    def client_claims(self, client_id: str, *, auth_time: int | None = None) -> dict[str, Any]:
        """Return what a signed access token says about its client.

        `auth_time` is when the person logged in who let the client in, in seconds since the epoch,
        or None if the client got the token for itself.
        """
        if self.rfc9068:  # §2.2 and §2.2.1
            return {"client_id": client_id, "auth_time": OMIT if auth_time is None else auth_time}
        return {"azp": client_id, "gty": OMIT if auth_time is not None else "client-credentials"}

    def permissions_of(self, person: Person) -> frozenset[str]:
        """Return the permissions that a person has at the API."""
        return self.permissions if person.administrator else person.permissions

    def scopes_of(self, person: Person) -> frozenset[str]:
        """Return the scopes that a person can grant to a client."""
        return _OPENID_SCOPES | self.permissions_of(person)

    def metadata(self) -> dict[str, Any]:
        """Return what clients are told about this issuer (RFC 8414 §2)."""
        return metadata_of(
            self.url, scopes=_OPENID_SCOPES | self.permissions, registration=self.registration
        )

    def key_set(self) -> dict[str, Any]:
        """Return the published keys as a JWK Set (RFC 7517 §5)."""
        return {"keys": self.published}

    def _now(self) -> float:
        return self.clock()  # which may have been set after the start

    def _usual_claims(self) -> dict[str, Any]:
        return {
            **self._origin(),
            "sub": f"{CLIENT_ID}@clients",
            "aud": self.audience,
            "permissions": [],
            **self.client_claims(CLIENT_ID),
        }

    def _origin(self) -> dict[str, Any]:
        now = int(self.clock())
        return {"iss": self.url, "iat": now, "exp": now + self.lifetime, "jti": uuid4().hex}


def _public(key: Key) -> dict[str, Any]:
    return {**key.as_dict(private=False), "use": "sig"}


def _answer_about(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return what introspection says about an access token with these claims (RFC 7662 §2.2)."""
    client = {"client_id": claims["azp"]} if "azp" in claims else {}
    others = {name: value for name, value in claims.items() if name not in _JWT_ONLY}
    confirmation = claims.get("cnf")
    by_proof = isinstance(confirmation, Mapping) and "jkt" in confirmation  # RFC 9449 §6.2
    token_type = "DPoP" if by_proof else "Bearer"
    return {**client, **others, "active": True, "token_type": token_type}
