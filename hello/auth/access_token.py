"""What does a verified token grant?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A verified access token.

    `header` and `claims` are the token's own, not to be changed; `issuer` is its `iss`, and the one
    within which `subject` is unique; `scopes` and `permissions` are empty where it has none;
    `expires_at` is seconds since the epoch. Its repr leaves out the token itself, its header and
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
