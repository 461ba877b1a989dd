"""Where credentials are kept: a module per store."""
