"""Which keys does a JWK Set contain, and which of them does a token name?

RFC 7517 §5. Keys are imported one by one, so that a broken key does not make the others useless.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hello.tokens.jwt.compact import KeyName
from hello.tokens.jwt.strict_json import load_document

from .jwk import EncryptionKeyError
from .signing_key import SigningKey, VerifyingKey

_logger = logging.getLogger("hello.auth")
_MAX_KEYS = 100  # of one set: a hostile one may have any number

MAX_TRIED = 4
"""How many keys of one name are tried. Each costs a verification."""


class KeySet:
    """The usable keys of one issuer. In `kids`, None stands for the keys without a `kid`."""

    def __init__(self, keys: Iterable[VerifyingKey]) -> None:
        self._keys = tuple(keys)
        self.kids: frozenset[str | None] = frozenset(key.kid for key in self._keys)
        self._thumbprints = frozenset[str]().union(*(key.thumbprints for key in self._keys))
        self._fitting: dict[tuple[KeyName, str], tuple[VerifyingKey, ...]] = {}
        for algorithm in {name for key in self._keys for name in key.algorithms}:
            fitting = [key for key in self._keys if algorithm in key.algorithms]
            for key in fitting:
                names = [KeyName(None, thumbprint) for thumbprint in key.thumbprints]
                names += [] if key.kid is None else [KeyName(key.kid)]
                for name in names:
                    others = self._fitting.get((name, algorithm), ())
                    self._fitting[name, algorithm] = (*others, key)[:MAX_TRIED]
            if len(fitting) == 1:
                self._fitting[KeyName(), algorithm] = (fitting[0],)

    def __len__(self) -> int:
        return len(self._keys)

    def knows(self, name: KeyName) -> bool:
        """Return whether a key may have this name. If a token names none, any key may be meant."""
        if name.kid is not None:
            return name.kid in self.kids
        return not self._by_thumbprint(name) or name.thumbprint in self._thumbprints

    def fitting(self, name: KeyName, algorithm: str) -> tuple[VerifyingKey, ...]:
        """Return the keys with a name that fit an `alg`: usually one, and at most four.

        If a token does not name its key, that is the only key that fits.
        """
        if name.kid is None and not self._by_thumbprint(name):
            name = KeyName()
        return self._fitting.get((name, algorithm), ())

    def _by_thumbprint(self, name: KeyName) -> bool:
        """Return whether a thumbprint can be compared: the token has one, and so has a key."""
        return name.thumbprint is not None and bool(self._thumbprints)


def load_key_set(document: bytes) -> KeySet:
    """Read a JWK Set: good keys are kept, bad ones are skipped and logged.

    Raises ValueError if the document is not a JWK Set, or none of its keys can be used.
    """
    return KeySet(import_keys(load_document(document)))


def import_keys(document: Mapping[str, Any]) -> list[SigningKey]:
    """Return the usable keys of a JWK Set, or of one JWK. Raises ValueError if there are none."""
    entries = [document] if "kty" in document and "keys" not in document else document.get("keys")
    if not isinstance(entries, list):
        raise ValueError('it has no list of "keys"')
    keys, problems, for_encryption = [], Counter[str](), 0
    for jwk in entries[:_MAX_KEYS]:
        try:
            if not isinstance(jwk, dict):
                raise ValueError("it is not a JSON object")
            keys.append(SigningKey(jwk))
        except EncryptionKeyError:
            for_encryption += 1
        except ValueError as error:
            problems[str(error)] += 1
    if len(entries) > _MAX_KEYS:
        problems[f"only the first {_MAX_KEYS} are used"] = len(entries) - _MAX_KEYS
    if problems:
        _logger.warning(
            "skipped %d of the issuer's %d keys: %s",
            problems.total(),
            len(entries),
            "; ".join(f"{problem} ({count})" for problem, count in problems.most_common(5)),
        )
    if not keys:
        raise ValueError(f"it has no usable key ({for_encryption} for encryption)")
    return keys
