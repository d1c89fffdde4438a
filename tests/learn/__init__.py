"""What learners do and know."""
