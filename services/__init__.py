"""The services, the commands, and the rules that all of them read."""
