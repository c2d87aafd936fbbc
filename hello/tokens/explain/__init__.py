"""Why is a token refused, and what can be done? For operators: a client is told much less."""

from .explanation import Explanation, Finding
from .walk import explain

__all__ = ["Explanation", "Finding", "explain"]
