"""Where a bearer comes from: a module per mode."""
