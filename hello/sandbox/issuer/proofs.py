"""Which key does a client prove to have, for tokens that are bound to it (RFC 9449)?"""

import hashlib
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from hello.auth.reading.fields import field_values
from hello.tokens import DPoP, MemoryReplayStore, ReplayError
from hello.tokens.possession.proof import ProofError, Window, check_proof

PROOF_ALGORITHMS = DPoP().algorithms  # those that an API accepts if it does not choose others
_WINDOW = Window(past=300, future=30)


class ProofSettings(Protocol):
    """What the check of proofs needs to know about the issuer."""

    url: str
    clock: Callable[[], float]


class Proofs:
    """Checks the proofs that come with requests to the issuer. Each is accepted once."""

    def __init__(self, settings: ProofSettings) -> None:
        self._settings = settings
        self._seen = MemoryReplayStore()

    async def key_of(
        self, request: web.Request, *, token: str | None = None, bound_to: str | None = None
    ) -> str | None:
        """Return the thumbprint of the key that a request proves to have. Raises ProofError.

        `token` is the access token that the request carries, and `bound_to` is the thumbprint of
        its key. A request for tokens carries none. Its proof may be of any key, and if it has no
        proof, None is returned (§5).
        """
        proofs = field_values(request, "DPoP")
        if not proofs and token is None:
            return None
        if len(proofs) != 1:
            raise ProofError("several proofs" if proofs else "no proof")
        now = self._settings.clock()
        proof = check_proof(
            proofs[0],
            method=request.method,
            url=self._settings.url.rstrip("/") + request.path,
            token=token,
            bound_to=bound_to,
            algorithms=PROOF_ALGORITHMS,
            now=now,
            window=_WINDOW,
        )
        seen = f"{proof.thumbprint} {proof.jti}".encode("utf-8", "surrogatepass")
        until = proof.issued_at + _WINDOW.past + 1
        try:
            new = await self._seen.add(hashlib.sha256(seen).digest(), until=until, now=now)
        except ReplayError as error:
            raise ProofError(str(error)) from None
        if not new:
            raise ProofError("it was sent before")
        return proof.thumbprint
