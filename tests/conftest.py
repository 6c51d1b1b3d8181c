"""What all tests share: one real nats-server a session."""

from tests.broker import nats_site

__all__ = ["nats_site"]
