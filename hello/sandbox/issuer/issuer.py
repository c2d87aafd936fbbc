"""What does the sandbox's issuer sign, and what does it publish?

It stands in for the tenant that a newcomer does not have, and for the issuer that tests need. Its
keys are made at start and never leave memory.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from joserfc.jwk import Key

from .oauth import CLIENT_ID
from .people import Person
from .signing import OMIT, changed, new_key, sign

_OPENID_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


class Issuer:
    """Signs tokens for one audience, and publishes its keys.

    `url` is the `iss` of its tokens and ends with a slash; set it again once the port is known.
    `client_origin` is the origin of the client's pages: they may ask it, and it redirects to them.
    `permissions` are those of an administrator; a client with a secret gets whatever it asks for.
    `lifetime` is that of an access token, in seconds. `key` is the first signing key, or None to
    make one. `requests` counts the requests for each path.
    """

    def __init__(
        self,
        *,
        audience: str,
        url: str = "http://localhost:6061/",
        client_origin: str = "http://localhost:4040",
        permissions: frozenset[str] = frozenset({"read:admin-messages"}),
        lifetime: int = 86400,
        key: Key | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.audience = audience
        self.client_origin = client_origin
        self.permissions = permissions
        self.lifetime = lifetime
        self.clock = clock
        self.requests: Counter[str] = Counter()
        self.published: list[Mapping[str, Any]] = []
        self.rotate(key)

    def rotate(self, key: Key | None = None) -> None:
        """Sign with another key from now on, and publish it beside the earlier ones."""
        self.key = key or new_key()
        self.publish(self.key)

    def publish(self, key: Key) -> None:
        """Add the public part of a key to the key set."""
        self.published.append({**key.as_dict(private=False), "use": "sig"})

    def withdraw(self, key: Key) -> None:
        """Remove a key from the key set."""
        self.published = [jwk for jwk in self.published if jwk.get("kid") != key.kid]

    def mint(
        self,
        *,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
    ) -> str:
        """Return an access token such as a client gets for itself, with changes.

        `claims` and `header` replace the usual members; those that are OMIT are left out.
        """
        usual = {
            "sub": f"{CLIENT_ID}@clients",
            "aud": self.audience,
            "azp": CLIENT_ID,
            "permissions": [],
            "gty": "client-credentials",
        }
        return self.sign({**usual, **(claims or {})}, header=header, key=key)

    def sign(
        self,
        claims: Mapping[str, Any],
        *,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
    ) -> str:
        """Return a token with these claims, and with `iss`, `iat` and `exp` if they are missing."""
        key = key or self.key
        now = int(self.clock())
        usual_claims = {"iss": self.url, "iat": now, "exp": now + self.lifetime}
        usual_header = {"alg": "RS256", "typ": "JWT", "kid": key.kid or OMIT}
        return sign(changed(usual_header, header), changed(usual_claims, claims), key)

    def permissions_of(self, person: Person) -> frozenset[str]:
        """Return the permissions that a person has at the API."""
        return self.permissions if person.administrator else frozenset()

    def scopes_of(self, person: Person) -> frozenset[str]:
        """Return the scopes that a person can grant to a client."""
        return _OPENID_SCOPES | self.permissions_of(person)

    def metadata(self) -> dict[str, Any]:
        """Return the members of OpenID Connect Discovery 1.0 §3."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}authorize",
            "token_endpoint": f"{self.url}oauth/token",
            "userinfo_endpoint": f"{self.url}userinfo",
            "end_session_endpoint": f"{self.url}oidc/logout",
            "jwks_uri": f"{self.url}.well-known/jwks.json",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "web_message"],
            "grant_types_supported": [
                "authorization_code",
                "refresh_token",
                "client_credentials",
            ],
            "code_challenge_methods_supported": ["S256"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": [
                "none",
                "client_secret_post",
                "client_secret_basic",
            ],
            "scopes_supported": sorted(_OPENID_SCOPES | self.permissions),
        }

    def key_set(self) -> dict[str, Any]:
        """Return the published keys as a JWK Set (RFC 7517 §5)."""
        return {"keys": self.published}
