"""What was detected and what was missed: truth beside alerts. Pure."""
