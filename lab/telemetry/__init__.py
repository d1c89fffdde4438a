"""Logs and packets become events: read, normalised to ECS, stored, questioned."""
