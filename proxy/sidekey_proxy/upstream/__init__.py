"""The side of the API: connections to it, and the rules of where a bearer may go."""
