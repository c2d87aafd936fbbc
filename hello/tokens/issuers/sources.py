"""Where do the keys of an issuer come from?"""

from collections.abc import Callable, Sequence

from hello.tokens.jwt.compact import KeyName
from hello.tokens.keys.discovery import Place
from hello.tokens.keys.fetched import FetchedKeys
from hello.tokens.keys.given import GivenKeys
from hello.tokens.keys.signing_key import HASH_BYTES, VerifyingKey

FetchedKeysOf = Callable[[Place], FetchedKeys]
"""Returns the FetchedKeys of a place. They fetch nothing until a token needs a key."""


class SecretAndKeys:
    """A shared secret for its own algorithms, and public keys for all others.

    Some issuers use both for a while, when they move from one to the other. A secret never verifies
    what a public key should, and a public key is never used as a secret (RFC 8725 §2.1).
    """

    def __init__(self, secret: GivenKeys | FetchedKeys, public: GivenKeys | FetchedKeys) -> None:
        self._secret = secret
        self._public = public

    @property
    def kids(self) -> frozenset[str | None]:
        """The `kid` of each public key."""
        return self._public.kids

    async def find(self, name: KeyName, algorithm: str) -> Sequence[VerifyingKey]:
        """Return the keys that fit, as `FetchedKeys.find` does."""
        return await self._for(algorithm).find(name, algorithm)

    async def find_newer(
        self, name: KeyName, algorithm: str, *, than: Sequence[VerifyingKey]
    ) -> Sequence[VerifyingKey]:
        """Return newer keys, as `FetchedKeys.find_newer` does."""
        return await self._for(algorithm).find_newer(name, algorithm, than=than)

    def _for(self, algorithm: str) -> GivenKeys | FetchedKeys:
        return self._secret if algorithm in HASH_BYTES else self._public


KeySource = GivenKeys | FetchedKeys | SecretAndKeys
"""`find` returns the keys that a token names and that fit its `alg`."""
