"""Whether this machine can do what is asked of it: one finding a check, and what to do."""
