"""Which proofs of possession does an API want, and are those of a request good (RFC 9449 §7)?"""

import hashlib
import logging
from collections.abc import Collection
from functools import partial
from typing import Literal, get_args

from hello.tokens.access_token import AccessToken
from hello.tokens.bounded import check_flag, check_names
from hello.tokens.challenges import Challenges
from hello.tokens.errors import (
    AuthError,
    InvalidProofError,
    InvalidTokenError,
    Reason,
    UnavailableError,
)
from hello.tokens.hooks import HookError, ask
from hello.tokens.keys.jwk import ALGORITHMS
from hello.tokens.presented import Presented
from hello.tokens.timing import Clock, check_seconds

from .nonces import Nonces
from .proof import OtherKeyError, Proof, ProofError, Window, check_proof
from .replay import MemoryReplayStore, ReplayError, ReplayStore

_logger = logging.getLogger("hello.auth")

Mode = Literal["allowed", "required", "off"]
"""Whether bound tokens are accepted beside bearer tokens, in place of them, or not at all."""

_ALGORITHMS = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "RS256")

_STORE_SECONDS = 5  # how long a replay store may take
_CALM_SECONDS = 5  # without a failure, until an outage of the store counts as over


class DPoP:
    """How an API accepts tokens that are bound to a key by DPoP.

    If it is `required`, bearer tokens are refused. `algorithms` are those that proofs may be signed
    with. A proof may be `max_age` seconds old and come from `future` seconds ahead. Each proof is
    accepted once: `replay` remembers them, for this process if it is None. If `replay` cannot be
    asked, or does not answer within 5 s, the answer is 503, or with `fail_open` the proof counts as
    new. `nonces` makes clients put a nonce of this API into their proofs.

    Raises ValueError for options that cannot work.
    """

    def __init__(
        self,
        *,
        required: bool = False,
        algorithms: Collection[str] = _ALGORITHMS,
        max_age: float = 300,
        future: float = 30,
        replay: ReplayStore | None = None,
        fail_open: bool = False,
        nonces: Nonces | None = None,
    ) -> None:
        check_names("algorithms", algorithms)
        if not algorithms or not set(algorithms) <= ALGORITHMS:
            raise ValueError(f"algorithms are some of {sorted(ALGORITHMS)}, not {algorithms!r}")
        _check_store(replay)
        if nonces is not None and not isinstance(nonces, Nonces):
            raise ValueError(f"nonces is auth.Nonces(secret), not {type(nonces).__name__}")
        check_flag("required", required)
        check_flag("fail_open", fail_open)
        check_seconds("max_age", max_age)
        check_seconds("future", future, zero=True)
        self.required: bool = required
        self.algorithms: tuple[str, ...] = tuple(sorted(set(algorithms)))
        self.nonces: Nonces | None = nonces
        self.window: Window = Window(max_age, future)
        self.replay: ReplayStore = MemoryReplayStore() if replay is None else replay
        self.fail_open: bool = fail_open
        self._failures = 0  # of the replay store, in this outage
        self._failed_at = 0.0  # when the last check began that failed
        self.counts: dict[str, int] = {"new": 0, "replayed": 0, "unavailable": 0}  # proofs

    @classmethod
    def of(cls, given: "DPoP | Mode") -> "DPoP | None":
        """Return what an option means, or None for "off". Raises ValueError."""
        if isinstance(given, DPoP):
            return given
        if given not in get_args(Mode):
            raise ValueError(f"dpop is a DPoP or one of {', '.join(get_args(Mode))}, not {given!r}")
        return None if given == "off" else cls(required=given == "required")

    def challenges(self, clock: Clock) -> Challenges:
        """Return what an API with these options says about the schemes that it accepts."""
        nonces = self.nonces
        return Challenges(
            proof_algorithms=self.algorithms,
            bearer=not self.required,
            next_nonce=None if nonces is None else lambda: nonces.current(clock.time()),
        )

    async def check(
        self, presented: Presented, token: AccessToken, bound_to: object, now: float
    ) -> None:
        """Check the proof of a request with a valid token. `now` is in seconds since the epoch.

        `bound_to` is the thumbprint of the key that the token is bound to, or None.

        Raises InvalidProofError for a bad proof, InvalidTokenError for a token that is not bound to
        the proof's key, and UnavailableError if it is unknown whether the proof is new.
        """
        if bound_to is None:
            raise InvalidTokenError(Reason.UNBOUND, subject=token.subject)
        if len(presented.proofs) != 1:
            found = "several proofs" if presented.proofs else "no proof"
            raise InvalidProofError(Reason.PROOF, subject=token.subject, detail=found)
        try:
            proof = check_proof(
                presented.proofs[0],
                method=presented.method,
                url=presented.url,
                token=token.token,
                bound_to=bound_to,
                algorithms=self.algorithms,
                now=now,
                window=self.window,
            )
        except OtherKeyError:
            # RFC 9449 §7.1: the key of the proof must be the one that the token is bound to.
            raise InvalidTokenError(
                Reason.BOUND, subject=token.subject, detail="the proof is of another key"
            ) from None
        except ProofError as error:
            raise InvalidProofError(
                Reason.PROOF, subject=token.subject, detail=f"proof={error}"
            ) from None
        if self.nonces is not None and not self.nonces.accepts(proof.nonce, now):
            raise InvalidProofError(
                Reason.NONCE, subject=token.subject, nonce=self.nonces.current(now)
            )
        # Last of all: what fails another check is not remembered, so it costs no memory.
        await self._check_new(proof, token, now)

    async def close(self) -> None:
        """Close the replay store."""
        await self.replay.close()

    async def _check_new(self, proof: Proof, token: AccessToken, now: float) -> None:
        seen = f"{proof.thumbprint} {proof.jti}".encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(seen).digest()[:16]
        # It is rounded up, so that a copy of a proof is never a second too late to be known.
        until = proof.issued_at + self.window.past + 1
        add = partial(self.replay.add, until=until, now=now)
        try:
            new = await ask(add, digest, timeout=_STORE_SECONDS, returns=(bool,))
        except (HookError, AuthError) as error:
            self._note_failure(error, now)
            self.counts["unavailable"] += 1
            if not self.fail_open:
                raise UnavailableError(Reason.REPLAY_UNAVAILABLE, subject=token.subject) from None
            return
        self._note_success(now)
        self.counts["new" if new else "replayed"] += 1
        if not new:
            raise InvalidProofError(Reason.REPLAYED, subject=token.subject)

    def _note_failure(self, error: Exception, now: float) -> None:
        if not self._failures:  # one line an outage
            cause = error.__cause__
            planned = isinstance(cause, ReplayError)
            why, unplanned = (cause, None) if planned else (error, cause)
            _logger.error("%s: %s", Reason.REPLAY_UNAVAILABLE, why, exc_info=unplanned)
        self._failures += 1
        self._failed_at = now

    def _note_success(self, now: float) -> None:
        # Of requests at the same time, some fail and some do not. So an outage is over only after a
        # while without a failure. (The clock may have been set back.)
        if self._failures and abs(now - self._failed_at) >= _CALM_SECONDS:
            _logger.warning(
                "replay_recovered: proofs can be remembered again, after %d failures",
                self._failures,
            )
            self._failures = 0


def _check_store(replay: object) -> None:
    """Raise ValueError unless an option is a ReplayStore. A URL may have a password."""
    methods = (getattr(replay, name, None) for name in ("add", "close"))
    if replay is None or (not isinstance(replay, type) and all(map(callable, methods))):
        return
    raise ValueError(
        'replay is an object with the methods of auth.ReplayStore, such as auth.RedisReplayStore("'
        f'redis://localhost:6379"), not {type(replay).__name__}'
    )
