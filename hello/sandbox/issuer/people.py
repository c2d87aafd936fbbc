"""Who can log in to the sandbox?"""

import re
from dataclasses import dataclass
from secrets import token_hex


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the sandbox, who has `permissions`, or all of the API's as an administrator."""

    subject: str
    name: str
    email: str
    about: str
    administrator: bool = False
    permissions: frozenset[str] = frozenset()

    def claims(self, scopes: frozenset[str]) -> dict[str, object]:
        """Return the claims that scopes ask for (OpenID Connect Core 1.0 §5.4)."""
        claims: dict[str, object] = {"sub": self.subject}
        if "profile" in scopes:
            claims |= {"name": self.name, "nickname": self.name.split(" ")[0].lower()}
        if "email" in scopes:
            claims |= {"email": self.email, "email_verified": True}
        return claims


_MAX_NAME = 60  # characters
_MAX_SIGNED_UP = 20  # people


PEOPLE = {
    person.subject: person
    for person in (
        Person("sandbox|robin", "Robin Reader", "robin@example.com", "A plain user"),
        Person(
            "sandbox|ada",
            "Ada Admin",
            "ada@example.com",
            "An administrator, with every permission",
            administrator=True,
        ),
    )
}


class SignedUp:
    """The latest twenty people who signed up at an issuer."""

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}

    def listed(self) -> list[Person]:
        """Return all of them."""
        return [*self._people.values()]

    def get(self, subject: str) -> Person | None:
        """Return one by the identifier that tokens have in `sub`."""
        return self._people.get(subject)

    def sign_up(self, name: str) -> Person | None:
        """Return a new plain user, or None if that is no name."""
        name = " ".join(name.split())
        if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
            return None
        mailbox = re.sub(r"[^a-z0-9]+", ".", name.lower()).strip(".") or "somebody"
        person = Person(f"sandbox|{token_hex(4)}", name, f"{mailbox}@example.com", "Signed up here")
        if len(self._people) >= _MAX_SIGNED_UP:
            del self._people[next(iter(self._people))]
        self._people[person.subject] = person
        return person
