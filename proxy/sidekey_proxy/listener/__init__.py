"""The side of the clients: listening sockets, their connections, and the requests on them."""
