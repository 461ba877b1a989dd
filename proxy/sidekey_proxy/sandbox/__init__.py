"""A faithful stand-in for issuer and API: one local server to try, demo and test against, offline."""
