"""Ground floor: errors, configuration, files, randomness, ranks. No network, no training."""
