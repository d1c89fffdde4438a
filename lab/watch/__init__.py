"""Lines become events and events become alerts, while it happens or from files."""
