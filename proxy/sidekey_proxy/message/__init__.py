"""What stands in HTTP messages: heads, headers, framing, and sidekey's own answers. No I/O."""
