"""Structured logs to stderr: for people, or as JSON for machines; an event is a fact, `noun.verb`."""

import logging
import sys

import structlog

from services.process.plain import Shown
from services.process.settings import Settings


def configure(settings: Settings, service: str) -> structlog.typing.FilteringBoundLogger:
    """Configure structlog for a process and return its logger with the service bound."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if settings.log == "json"
            else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr.below if isinstance(sys.stderr, Shown) else sys.stderr),
    )
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(service=service)
    return log
