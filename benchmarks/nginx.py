"""nginx, twice: as a proxy under test that does what sidekey does, and as the origin of plain requests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .programs import BEARER, BenchmarkFailed, Origin, Running, await_port, found, free_port, program

ANSWER: Final = (
    '{"id":"resp_0123456789abcdef","object":"response","status":"completed","model":"gpt-5-mini",'
    '"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"'
    + "Hello from the origin. " * 12
    + '"}]}],"usage":{"input_tokens":120,"output_tokens":60,"total_tokens":180}}'
)

_FRAME: Final = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 16384; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/json;
  keepalive_requests 1000000000;
  client_max_body_size 0;
{rest}
}}
"""

_PROXY: Final = """
  access_log {folder}/access.log;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location /v1/ {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer {bearer}";
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
"""

_ORIGIN: Final = """
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      add_header x-request-id req_0123456789abcdef0123456789abcdef;
      add_header openai-processing-ms 12;
      add_header openai-version 2020-10-01;
      add_header x-ratelimit-limit-requests 10000;
      add_header x-ratelimit-remaining-requests 9999;
      return 200 '{answer}';
    }}
  }}
"""


class Nginx:
    """nginx as a proxy: kept-alive connections upstream, nothing buffered, the access log written."""

    name = "nginx"
    speaks_tls = False

    def missing(self) -> str | None:
        """Return what has to be installed first, if anything."""
        return None if found("nginx") else "nginx (on Debian: apt install nginx-light)"

    @contextlib.contextmanager
    def running(self, origin: Origin, folder: Path, core: int) -> Iterator[Running]:
        """Run it in front of an origin."""
        port = free_port()
        rest = _PROXY.format(folder=folder, origin=origin.port, port=port, bearer=BEARER)
        with _nginx(rest, port, folder, core) as pid:
            yield Running(port, pid)


@contextlib.contextmanager
def request_origin(folder: Path, core: int) -> Iterator[Origin]:
    """Run an origin that answers every request with the same 600 bytes or so, as fast as can be."""
    port = free_port()
    with _nginx(_ORIGIN.format(port=port, answer=ANSWER), port, folder, core):
        yield Origin(port)


@contextlib.contextmanager
def _nginx(rest: str, port: int, folder: Path, core: int) -> Iterator[int]:
    binary = found("nginx")
    if binary is None:
        raise BenchmarkFailed("nginx is not installed (on Debian: apt install nginx-light)")
    configuration = folder / "nginx.conf"
    configuration.write_text(_FRAME.format(folder=folder, rest=rest))
    said = folder / "nginx.out"
    command: list[str | Path] = [binary, "-e", folder / "error.log", "-p", folder, "-c", configuration]
    with program(command, core=core, said=said) as process:
        await_port(process, port, said)
        yield process.pid
