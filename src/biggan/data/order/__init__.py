"""Which image comes when, and how it gets to the device: order, loader, transforms."""
