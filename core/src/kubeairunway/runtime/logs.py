"""Log lines: one JSON object each for machines, one short line for people."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from kubeairunway.runtime.settings import Settings

FIELDS: Final = ("deployment", "provider", "reason", "object", "seconds", "error")
"""What a line may carry beside its message, given by `extra=`."""

_COLOURS: Final = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31"}


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, then the fields that the line carries, then the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object on one line."""
        line: dict[str, Any] = {
            "time": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _fields(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class HumanFormatter(logging.Formatter):
    """Time of day, level where it matters, message, fields."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it."""
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        level = "" if record.levelno <= logging.INFO else f"{record.levelname} "
        text = f"{_moment(record).astimezone():%H:%M:%S} {level}{record.getMessage()}"
        code = _COLOURS.get(record.levelname)
        if self._colour and code:
            text = f"\x1b[{code}m{text}\x1b[0m"
        text = f"{text}  {fields}" if fields else text
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up_logging(settings: Settings) -> None:
    """Send everything to stderr in the format the settings ask for."""
    terminal = sys.stderr.isatty()
    human = settings.log_format == "human" or (settings.log_format == "auto" and terminal)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HumanFormatter(colour=terminal) if human else JsonFormatter())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    present = vars(record)
    return {key: present[key] for key in FIELDS if present.get(key) not in (None, "")}


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
