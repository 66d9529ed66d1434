"""The guide's example of a proxy works as it is written; run where nginx is installed."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.ports import unused_port
from tests.ui.serving import ROOT, Served, read_until, serving

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:/usr/bin:/usr/local/bin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
AROUND = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {example}
}}
"""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The desk behind nginx, by the guide's words but for ports and certificates."""
    guide = (ROOT / "docs/operators.md").read_text()
    [example] = re.findall(r"```nginx\n(.*?)```", guide, re.S)
    folder = tmp_path_factory.mktemp("nginx")
    port = unused_port()
    with serving(folder / "desk", WAYBILL_URL="https://desk.example.com") as desk:
        here = re.sub(r"\n *ssl_.*", "", example).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
        here = here.replace("127.0.0.1:8000", f"127.0.0.1:{desk.port}").replace("$scheme", "https")
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, example=here))
        nginx = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")])
        try:
            served = Served(nginx, port)
            served.wait_until_it_answers(lambda: (folder / "error.log").read_text())
            yield served
        finally:
            nginx.kill()
            nginx.wait()


def test_two_hundred_slow_clients_of_the_proxy_keep_nobody_waiting(proxied: Served) -> None:
    with ExitStack() as open_till_the_end:
        for number in range(200):
            sent = (
                b"GET /healthz HTTP/1.1\r\nHost: " if number % 2 else b"POST /take HTTP/1.1\r\nHost: desk\r\nContent-L"
            )
            open_till_the_end.enter_context(proxied.connect()).sendall(sent)
        took = [proxied.seconds("/healthz") for _ in range(5)]
    assert sorted(took)[2] <= 1.0


def test_the_desk_knows_its_address_and_compresses_by_itself(proxied: Served) -> None:
    with proxied.connect() as client:
        client.sendall(b"GET /orders HTTP/1.1\r\nHost: desk.example.com\r\nConnection: close\r\n\r\n")
        head = read_until(client, b"\r\n\r\n")
        assert b"Location: /orders/\r\n" in head
        assert b"Strict-Transport-Security: max-age=" in head
    with proxied.connect() as client:
        client.sendall(
            b"GET /static/waybill.css HTTP/1.1\r\nHost: desk.example.com\r\nAccept-Encoding: gzip\r\n"
            b"Connection: close\r\n\r\n"
        )
        read_until(client, b"Content-Encoding: gzip\r\n")


def test_live_news_is_not_held_back(proxied: Served) -> None:
    with proxied.connect() as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: desk.example.com\r\n\r\n")
        for _ in range(3):  # a proxy that buffers would wait for kilobytes
            read_until(client, b"data\n")
