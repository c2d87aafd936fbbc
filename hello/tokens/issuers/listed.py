"""Which of the issuers in an application's list does a token name?

No request is ever sent to an address that only a token names.
"""

from collections.abc import Collection, Iterable, Sequence

from hello.tokens.errors import untrusted
from hello.tokens.keys.fetched import FetchedKeys

from .trusted import FetchedKeysOf, KeySource, TrustedIssuer


class ListedIssuers:
    """Issuers that are all known from the start. Those that share a key set share its fetches.

    Raises ValueError unless they are TrustedIssuers with different names.
    """

    def __init__(self, trusted: Iterable[TrustedIssuer], *, new_fetched: FetchedKeysOf) -> None:
        if not isinstance(trusted, Iterable):
            raise ValueError(f"issuers is a list of TrustedIssuers: write [{trusted!r}]")
        self._issuers: dict[str, TrustedIssuer] = {}
        for issuer in trusted:
            if not isinstance(issuer, TrustedIssuer):
                raise ValueError(f"issuers are TrustedIssuers, or a resolver, not {issuer!r}")
            if issuer.issuer in self._issuers:
                raise ValueError(
                    f"{issuer.issuer!r} stands twice among the issuers: make one TrustedIssuer of "
                    "them, with all algorithms and audiences; it can have both a secret and keys"
                )
            self._issuers[issuer.issuer] = issuer
        if not self._issuers:
            raise ValueError("issuers is empty: no token could be valid")
        self.listed: Sequence[TrustedIssuer] = tuple(self._issuers.values())
        introspecting = [each.issuer for each in self.listed if each.introspection is not None]
        if len(introspecting) > 1:
            raise ValueError(
                f"{' and '.join(introspecting)} have introspection=, but an opaque token names no "
                "issuer, and it is sent to one only: protect a sub-application for each"
            )
        places = dict.fromkeys(each.place for each in self.listed if each.place is not None)
        self._fetched = {place: new_fetched(place) for place in places}
        self._sources = {
            issuer: {
                algorithm: issuer.key_source(algorithm, self._fetched.__getitem__)
                for algorithm in issuer.algorithms
            }
            for issuer in self.listed
        }

    @property
    def fetched(self) -> Collection[FetchedKeys]:
        """The keys that are fetched, one FetchedKeys for each place."""
        return self._fetched.values()

    async def find(self, issuer: object, _host: str) -> TrustedIssuer:
        """Return the issuer that an unverified `iss` names.

        Raises InvalidTokenError if it is not trusted (RFC 9068 §4).
        """
        found = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if found is None:
            raise untrusted(issuer)
        return found

    def keys_of(self, trusted: TrustedIssuer, algorithm: str) -> KeySource:
        """Return where an issuer's keys for one of its algorithms come from."""
        return self._sources[trusted][algorithm]

    def note_valid_signature(self, trusted: TrustedIssuer, host: str) -> None:
        """Do nothing: a listed issuer is trusted from the start."""

    async def close(self) -> None:
        """End the fetches that are under way."""
        for fetched in self._fetched.values():
            await fetched.close()
