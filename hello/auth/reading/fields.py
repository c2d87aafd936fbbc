"""Which values does a header of a request have, exactly as they were sent?"""

from aiohttp import web


def field_values(request: web.BaseRequest, name: str) -> list[str]:
    """Return the value of each field with a name (RFC 9110 §5.2), in the order they were sent.

    They are read from `raw_headers`: in aiohttp 4, `headers.getall` divides a value at its commas
    and takes the quotes off.
    """
    if name not in request.headers:
        return []
    raw_name = name.lower().encode()
    length = len(raw_name)
    return [
        value.decode("utf-8", "surrogateescape")
        for field, value in request.raw_headers
        if len(field) == length and field.lower() == raw_name
    ]
