"""Ways through the latent space: directions, breeding, style mixing, and the latent of a given picture."""
