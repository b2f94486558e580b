"""Architectures, the networks they build, and the public snapshot."""
