"""Training that begins from weights that exist: which tensors, which classes, and what is new."""
