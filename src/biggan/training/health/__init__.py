"""How a run is: what is measured of it, and what is said of that."""
