"""A 401 of upstream: what it means, and the copy of the request that is sent again."""
