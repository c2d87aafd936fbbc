"""What does an answer tell a program, whatever words it has for people?"""

import re
from collections.abc import Mapping

_CHALLENGE = re.compile(
    r'(Bearer \w+="[^"\\]*"(?:, \w+="[^"\\]*")*)'
    r'(?:, (DPoP algs="[A-Za-z0-9 ]+"((?:, (?:scope|resource_metadata)="[^"\\]*")*)))?'
)
_PARAMETER = re.compile(r'(\w+)="([^"\\]*)"')

NO_TOKEN = {"realm": "api"}
INVALID = {**NO_TOKEN, "error": "invalid_token"}
INSUFFICIENT = {**NO_TOKEN, "error": "insufficient_scope"}
WEAK_LOGIN = {**NO_TOKEN, "error": "insufficient_user_authentication"}


def challenge(headers: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a Bearer challenge, but for the words that describe an error.

    RFC 6750 §3. The challenge of DPoP behind it says the same wherever the scheme was not used.
    """
    value = headers["WWW-Authenticate"]
    found = _CHALLENGE.fullmatch(value)
    assert found, value
    pairs = _PARAMETER.findall(found[1])
    parameters = dict(pairs)
    assert len(parameters) == len(pairs), "a parameter came twice"
    for name, text in _PARAMETER.findall(found[3] or ""):
        assert parameters[name] == text, "both schemes ask for the same"
    described = parameters.pop("error_description", "")
    assert bool(described) is ("error" in parameters)
    return parameters


def description(headers: Mapping[str, str]) -> str:
    """The words that describe an error: to be compared with others, not with what they are."""
    pairs: list[tuple[str, str]] = _PARAMETER.findall(headers["WWW-Authenticate"])
    return dict(pairs)["error_description"]
