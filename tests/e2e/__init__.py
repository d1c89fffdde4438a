"""End to end, on a real engine, as a user would."""
