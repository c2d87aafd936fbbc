"""What does a verified token grant?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .jwt.claim_rules import names
from .jwt.strict_json import ReadOnly


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A verified access token.

    `header` and `claims` cannot be changed. `issuer` is the `iss`. `subject` is the `sub`, which is
    unique within that issuer, or None. `scopes` and `permissions` are empty if the token has none.
    `expires_at` is in seconds since the epoch. The repr leaves out the token's text, its header and
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
    def of(cls, text: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> Self:
        """Return what a token grants. All its parts must have been checked."""
        return cls(
            token=text,
            header=ReadOnly(header),
            claims=ReadOnly(claims),
            issuer=claims["iss"],
            subject=claims.get("sub"),
            # Okta and Entra ID call it scp.
            scopes=names(claims.get("scope", ())) | names(claims.get("scp", ())),
            permissions=names(claims.get("permissions", ())),
            expires_at=claims["exp"],
        )
