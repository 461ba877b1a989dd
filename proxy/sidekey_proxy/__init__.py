"""sidekey_proxy: a reverse proxy that puts the bearer on every request to the OpenAI API."""
