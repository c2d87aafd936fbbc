"""What can the demo client try out in the sandbox, and see of the other parties?"""

from .routes import lesson_routes
from .switch import Switch
from .witness import Witness

__all__ = ["Switch", "Witness", "lesson_routes"]
