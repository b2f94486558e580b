"""From seeds and classes to pictures."""
