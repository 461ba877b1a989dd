"""The side of the API: connections to it."""
