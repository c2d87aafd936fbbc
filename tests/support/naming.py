"""What must the message of an error name, in whichever words?"""

import re


def naming(*names: object) -> str:
    """A pattern for `match`: each of the names stands in the message, and is no part of a word."""
    return "".join(rf"(?s:(?=.*{_alone(str(name))}))" for name in names)


def _alone(name: str) -> str:
    before = r"(?<!\w)" if re.match(r"\w", name) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", name) else ""
    return f"{before}{re.escape(name)}{after}"
