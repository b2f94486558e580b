"""The recipe ``auto``: it looks at images and machine, chooses, and says why."""
