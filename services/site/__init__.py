"""A whole site: all services at once, the demonstration, its status, provisioning, made-up years."""
