"""sidekey_auth: obtain an OpenAI API bearer, keep it sealed, refresh it without anybody noticing."""
