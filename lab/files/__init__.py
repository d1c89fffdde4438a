"""What is read and written: YAML with lines, JSON records, and where shipped content lies."""
