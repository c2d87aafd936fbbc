"""What must not be in a line of the log, whoever wrote its text?"""

import re

# A JWT, or what a header or a parameter of RFC 6749 or RFC 6750 holds. In a path, a space or an
# equals sign may be escaped, even several times (%2520).
_SECRET = re.compile(
    r"eyJ[\w-]{8,}[\w.~+/=%-]*"
    r"|((?:bearer|dpop)(?: |\+|%(?:25)*20)+)[\w.~+/=%-]+"
    r"|((?:token|secret|code)(?:=|%(?:25)*3d))[^\s&;\"']+"
    # In JSON, perhaps in a text that was written as JSON itself.
    r"|((?:token|secret)\\*[\"'] *: *\\*[\"'])[^\"'\\]+"
    # In the sub-protocols of a WebSocket, as a client writes them and as aiohttp logs them.
    r"|(bearer['\"]?, *['\"]?|base64url\.bearer\.authorization\.k8s\.io\.)[\w.~+/=%-]+",
    re.IGNORECASE,
)
# A JWT whose header begins with white space. It is looked for in two steps, because one pattern for
# it would read a long text once for each place where a JWT could begin.
_WORDS = re.compile(r"[\w.~+/=-]{12,}")
_PART = re.compile(r"[\w-]+")
_SPACED = re.compile(r"e(?:yA|w[0ko])[\w-]{8}", re.IGNORECASE)
_HINTS = (
    *("eyj", "eya", "ew0", "ewk", "ewo", "bearer", "dpop", "token=", "secret=", "code="),
    *("token%", "secret%", "code%"),
    *('token"', 'secret"', "token'", "secret'", "token\\", "secret\\"),
)


def cleaned(text: str) -> str:
    """Return a text with control characters escaped, and without whatever looks like a token."""
    lower = text.lower()
    if any(hint in lower for hint in _HINTS):  # looked for first, because the pattern is slow
        text = _SECRET.sub(
            lambda found: f"{found[1] or found[2] or found[3] or found[4] or ''}[...]", text
        )
        text = _WORDS.sub(_without_jwt, text)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def _without_jwt(found: re.Match[str]) -> str:
    words = found[0]
    for part in _PART.finditer(words):
        if words.startswith(".", part.end()):
            jwt = _SPACED.search(words, part.start(), part.end())
            if jwt is not None:
                return f"{words[: jwt.start()]}[...]"
    return words
