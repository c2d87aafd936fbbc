"""Which of the trusted issuers does a token name, and what are its keys?

Here they are all known from the start; resolver.py has those that an application's own function
knows. No request ever goes to an address that came from a token: a TrustedIssuer's are asked.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .errors import InvalidTokenError, Reason
from .jwks import FetchedKeys
from .keys import KeySet, VerifyingKey
from .trusted_issuer import TrustedIssuer


class GivenKeys:
    """Keys that an application gave directly. Those without a `kid` may verify any token."""

    def __init__(self, keys: KeySet) -> None:
        self._named = keys
        self._unnamed = keys.without_kid()

    def at_hand(self, kid: str | None, algorithm: str) -> VerifyingKey | None:
        """Return the key for a token's `kid` and `alg`."""
        if self._named.knows(kid):
            return self._named.find(kid, algorithm)
        return self._unnamed.find(None, algorithm)

    async def find(self, kid: str | None, algorithm: str) -> VerifyingKey:
        """Return the key for a token's `kid` and `alg`. Raises InvalidTokenError."""
        key = self.at_hand(kid, algorithm)
        if key is None:
            known = self._named.knows(kid) or len(self._unnamed)
            raise InvalidTokenError(Reason.UNFIT_KEY if known else Reason.UNKNOWN_KEY)
        return key

    @property
    def kids(self) -> frozenset[str | None]:
        """The names of the keys."""
        return self._named.kids


class KnownIssuer(NamedTuple):
    """A trusted issuer, with where its keys are found; what requests compare with is at hand."""

    trusted: TrustedIssuer
    audience: frozenset[str]
    algorithms: frozenset[str]
    keys: FetchedKeys | GivenKeys


def known_issuer(
    trusted: TrustedIssuer, new_keys: Callable[[TrustedIssuer], FetchedKeys]
) -> KnownIssuer:
    """Return an issuer with its keys: those that were given, or those that `new_keys` fetches."""
    given = trusted.given_keys
    keys = new_keys(trusted) if given is None else GivenKeys(given)
    algorithms = frozenset(trusted.algorithms or ())
    return KnownIssuer(trusted, frozenset(trusted.audience), algorithms, keys)


class ListedIssuers:
    """Issuers that are all known from the start. `new_keys` makes the FetchedKeys of one.

    Raises ValueError for what is no list of TrustedIssuers, each of another issuer.
    """

    by_resolver = False  # nobody asks which host a request names

    def __init__(
        self,
        trusted: Iterable[TrustedIssuer],
        *,
        new_keys: Callable[[TrustedIssuer], FetchedKeys],
    ) -> None:
        if not isinstance(trusted, Iterable):
            raise ValueError(f"issuers is a list of TrustedIssuers: write [{trusted!r}]")  # noqa: TRY004
        self._known: dict[str, KnownIssuer] = {}
        for issuer in trusted:
            if not isinstance(issuer, TrustedIssuer):
                raise ValueError(f"issuers are TrustedIssuers, or a resolver, not {issuer!r}")  # noqa: TRY004
            if issuer.issuer in self._known:
                raise ValueError(f"{issuer.issuer!r} stands twice among the issuers")
            self._known[issuer.issuer] = known_issuer(issuer, new_keys)
        if not self._known:
            raise ValueError("issuers is empty: nobody's tokens would be good")

    @property
    def listed(self) -> list[KnownIssuer]:
        """All of them."""
        return list(self._known.values())

    def at_hand(self, issuer: str) -> KnownIssuer | None:
        """Return the issuer of this name."""
        return self._known.get(issuer)

    async def find(self, issuer: object, _host: str) -> KnownIssuer:
        """Return the issuer that an unverified `iss` names.

        Raises InvalidTokenError where it is not trusted (RFC 9068 §4).
        """
        known = self._known.get(issuer) if isinstance(issuer, str) else None
        if known is None:
            raise InvalidTokenError(Reason.ISSUER)
        return known

    def confirm(self, issuer: str, host: str) -> None:
        """Hear that a token of this issuer was verified. It was trusted before."""

    async def close(self) -> None:
        """End the fetches that are under way."""
        for known in self._known.values():
            if isinstance(known.keys, FetchedKeys):
                await known.keys.close()
