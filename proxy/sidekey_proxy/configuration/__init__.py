"""The settings: what there is, where it comes from, and what does not fit together."""
