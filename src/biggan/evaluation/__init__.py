"""A generator (or a folder of images) against real images: numbers that carry their protocol."""
