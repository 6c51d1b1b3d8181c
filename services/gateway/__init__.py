"""The HTTP gateway: events in, receipts out, for offices that do not speak NATS."""
