"""Programs that run on nodes."""
