"""Is a segment taken if, and only if, it is the one way to write its bytes (RFC 4648 §3.5)?"""

import base64
import random
from itertools import product

import pytest

from hello.tokens.jwt.compact import parse

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
EMPTY = base64.urlsafe_b64encode(b"{}").rstrip(b"=").decode()


def canonical(segment: str) -> bool:
    """Decode it and encode it again: is that the same?"""
    if not set(segment) <= set(ALPHABET) or len(segment) % 4 == 1:
        return False
    decoded = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    return base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() == segment


def taken(segment: str) -> bool:
    try:
        return parse(f"{EMPTY}.{EMPTY}.{segment}").signature is not None
    except ValueError:
        return False


@pytest.mark.parametrize("length", [0, 1, 2])
def test_every_short_segment(length: int) -> None:
    for characters in product(f"{ALPHABET}+/=. \n\u00e9\u0660", repeat=length):
        segment = "".join(characters)
        assert taken(segment) is canonical(segment), segment


def test_every_ending_of_longer_ones() -> None:
    chance = random.Random(7)
    for length in (3, 4, 5, 6, 7, 8, 341, 342, 343):
        start = "".join(chance.choices(ALPHABET, k=length - 1))
        for last in f"{ALPHABET}+/=.\n":
            assert taken(start + last) is canonical(start + last), start + last
