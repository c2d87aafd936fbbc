"""Which nonces does this API give out, so that proofs cannot be made in advance (RFC 9449 §9)?

A nonce is a keyed hash over the time. So nothing is stored, and several workers with one secret
accept each other's nonces.
"""

import hashlib
import hmac

from hello.tokens.jwt import base64url
from hello.tokens.timing import check_seconds

MIN_SECRET = 32
"""How many bytes the secret has at least, as for HS256 (RFC 7518 §3.2)."""


class Nonces:
    """Makes nonces, and says which are good. Each is good for `lifetime` to twice as long.

    `lifetime` is in seconds. Raises ValueError for a secret that is no text and no bytes, or has
    fewer than 32 bytes.
    """

    def __init__(self, secret: str | bytes, *, lifetime: float = 300) -> None:
        check_seconds("lifetime", lifetime)
        self._secret = secret.encode() if isinstance(secret, str) else secret
        if not isinstance(self._secret, bytes) or len(self._secret) < MIN_SECRET:
            # It is not shown, because it may be a part of the right one.
            raise ValueError(
                f"secret of Nonces is a text or bytes, at least {MIN_SECRET} bytes long"
            )
        self._lifetime = lifetime

    def current(self, now: float) -> str:
        """Return the nonce of this time, in seconds since the epoch."""
        return self._at(int(now // self._lifetime))

    def accepts(self, nonce: str | None, now: float) -> bool:
        """Return whether a nonce is the current one or the one before it."""
        period = int(now // self._lifetime)
        given = (nonce or "").encode("utf-8", "surrogatepass")
        return any(hmac.compare_digest(given, self._at(p).encode()) for p in (period, period - 1))

    def _at(self, period: int) -> str:
        message = f"dpop-nonce {period}".encode()
        return base64url.encode(hmac.digest(self._secret, message, hashlib.sha256))
