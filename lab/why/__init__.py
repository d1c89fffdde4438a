"""The reason for every miss and every false alarm, and the nearest thing to a remedy."""
