"""A running proxy: put together, started, reloaded, taken over, drained, stopped."""
