"""What does a verified token grant, and who may say so?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, Self

from .challenges import Challenges
from .jwt.claim_rules import names_in
from .jwt.strict_json import ReadOnly
from .presented import Presented
from .timing import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A verified access token.

    `header` and `claims` cannot be changed. `issuer` is the `iss`. `subject` is the `sub`, which is
    unique within that issuer, or None. `scopes` and `permissions` are empty if the token has none.
    `scopes` are the token's and those that they include (`scope_includes`). `expires_at` is in
    seconds since the epoch. The repr leaves out the token's text, its header and
    its claims.
    """

    token: str = field(repr=False)
    header: Mapping[str, Any] = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    issuer: str
    subject: str | None
    scopes: frozenset[str]
    permissions: frozenset[str]
    expires_at: float

    @classmethod
    def of(
        cls,
        text: str,
        header: Mapping[str, Any],
        claims: Mapping[str, Any],
        includes: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> Self:
        """Return what a token grants. All its parts must have been checked.

        `includes` has the scopes that a scope includes.
        """
        # Okta and Entra ID call it scp.
        scopes = names_in(claims.get("scope", ())) | names_in(claims.get("scp", ()))
        return cls(
            token=text,
            header=ReadOnly(header),
            claims=ReadOnly(claims),
            issuer=claims["iss"],
            subject=claims.get("sub"),
            scopes=scopes.union(*(includes[name] for name in scopes & includes.keys())),
            permissions=names_in(claims.get("permissions", ())),
            expires_at=claims["exp"],
        )


class Validator(Protocol):
    """What `auth.setup` needs. TokenValidator has it; an application may write a class of its own.

    `timing` gives the clock, the leeway and the time limit of hooks for checking requirements.
    `authorization_servers` are the URLs of the issuers that a client can get a token from (RFC 9728
    §2), if there are any. `challenges` says which schemes are accepted: Challenges() is for bearer
    tokens alone.
    """

    timing: Timing
    authorization_servers: list[str]
    challenges: Challenges

    async def validate(self, presented: Presented) -> AccessToken:
        """Return what a valid token grants. Raises AuthError for every other token."""

    async def close(self) -> None:
        """End all tasks that are under way. It is called when the application stops."""
