"""Published recipes, one file a family; the only place with hyper-parameter values."""
