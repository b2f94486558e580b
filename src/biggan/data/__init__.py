"""Sources of labelled images, their order, and their way to the device."""
