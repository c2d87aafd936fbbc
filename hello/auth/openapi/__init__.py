"""How does an OpenAPI document say who may call the operations of an application?"""

from .adding import SecurityContradictionError, add_security
from .document import openapi, serve_openapi
from .matching import OpenAPIGaps, openapi_gaps

__all__ = [
    "OpenAPIGaps",
    "SecurityContradictionError",
    "add_security",
    "openapi",
    "openapi_gaps",
    "serve_openapi",
]
