"""The TCP connections below HTTP: silent peers, and ends that nobody reads up to."""
