"""The algorithm and everything that keeps it going."""
