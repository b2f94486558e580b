"""From the bytes of a file to an image of the size that is trained on, once or at each access."""
