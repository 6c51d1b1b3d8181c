"""What the services stand on: the NATS server, its rights, its streams, and the connections to it."""
