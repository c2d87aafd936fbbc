"""What is in the log: its lines as text or JSON, the request that a line is about, its writer?"""

from .access import AccessLog
from .json_lines import JsonFormatter
from .lines import LineFormatter
from .requests import RequestFilter, request_id
from .writing import BackgroundHandler, LogFormat, log_to_stderr

__all__ = [
    "AccessLog",
    "BackgroundHandler",
    "JsonFormatter",
    "LineFormatter",
    "LogFormat",
    "RequestFilter",
    "log_to_stderr",
    "request_id",
]
