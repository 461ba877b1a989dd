"""What sidekey costs beside nginx and a plain aiohttp proxy: CPU per request and per event, memory."""
