"""Does verification fail closed, whatever the libraries below it do?"""

import pytest
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from hello.tokens.keys.signing_key import SigningKey


def test_a_key_verifies_nothing_with_an_algorithm_that_does_not_fit_it(keys: list[Key]) -> None:
    key = SigningKey({**keys[0].as_dict(private=False), "alg": "RS256"})
    signature = JWSRegistry.algorithms["RS512"].sign(b"input", keys[0])
    assert not key.verifies(signature, b"input", "RS512")
    signature = JWSRegistry.algorithms["RS256"].sign(b"input", keys[0])
    assert key.verifies(signature, b"input", "RS256")


@pytest.mark.parametrize("error", [InvalidSignature, ValueError, UnsupportedAlgorithm])
def test_an_error_of_the_library_is_no_valid_signature(
    keys: list[Key], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_arguments: object) -> None:
        raise error("why")

    key = SigningKey(keys[0].as_dict(private=False))
    signature = JWSRegistry.algorithms["RS256"].sign(b"input", keys[0])
    assert key.verifies(signature, b"input", "RS256")
    monkeypatch.setitem(key._verifiers, "RS256", fail)
    assert not key.verifies(signature, b"input", "RS256")
