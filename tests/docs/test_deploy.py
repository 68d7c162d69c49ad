"""The files of docs/deploy.md work as they are printed: nginx in front of a service, and systemd's units."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

import fourfold
from fourfold import service
from tests.project.tree import ROOT

pytestmark = pytest.mark.places

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
ROW = {"distance": 1400.0, "hour": 9}
START_S = 10


def blocks(language: str) -> list[str]:
    """The blocks of the page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def nginx_before(url: str, folder: Path) -> Iterator[int]:
    """Run nginx with the configuration of the page, in front of the service at a URL; yields its port."""
    port = free_port()
    (config,) = blocks("nginx")
    assert config.count("127.0.0.1:8000") == config.count("listen 8080;") == 1
    config = config.replace("127.0.0.1:8000", urlsplit(url).netloc).replace("listen 8080;", f"listen 127.0.0.1:{port};")
    paths = "".join(f"{name}_temp_path {folder};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{config}}}\n"
    )
    words = [shutil.which("nginx") or "nginx", "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            for _ in range(START_S * 20):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, process.stderr.read() if process.stderr else b""
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def test_nginx(tmp_path: Path) -> None:
    """Through nginx a row has the same answer, a large body is refused, and no other path reaches the service."""
    frame = pd.DataFrame({"distance": [500.0, 1000.0, 1500.0], "hour": [6, 9, 12]})
    eta = fourfold.load(fourfold.pack(LinearRegression().fit(frame, [70.0, 130.0, 190.0]), name="eta", rows=frame))
    headers = {"content-type": "application/json"}
    with service.running(eta) as url, nginx_before(url, tmp_path) as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

        def ask(method: str, path: str, body: bytes = b"") -> tuple[http.client.HTTPResponse, bytes]:
            client.request(method, path, body, headers)
            reply = client.getresponse()
            return reply, reply.read()

        for _ in range(3):
            reply, body = ask("POST", "/predict", json.dumps(ROW).encode())
            assert reply.status == 200
            assert json.loads(body) == eta.predict_one(ROW)
            assert len(reply.headers["x-request-id"]) == 32
            assert reply.headers["x-fourfold-digest"] == eta.digest
        assert ask("GET", "/health/ready")[0].status == 200
        assert ask("GET", "/openapi.json")[0].status == 200
        assert ask("GET", "/package")[0].status == 404
        reply, body = ask("POST", "/predict", json.dumps({**ROW, "hour": "9"}).encode())
        assert (reply.status, json.loads(body)["error"]["code"]) == (422, "rows")
        client.close()
        assert ask("POST", "/predict", b" " * (33 << 20))[0].status == 413
        client.close()
    assert "emerg" not in (tmp_path / "error.log").read_text()


def test_units(tmp_path: Path) -> None:
    """The units are taken by systemd without a complaint, and the service's is hardened."""
    names = re.findall(r"`/etc/systemd/system/([^`]+)`", PAGE)
    units = blocks("ini")
    assert len(names) == len(units) == 3
    commands = Path(sys.executable).parent
    for name, unit in zip(names, units, strict=True):
        (tmp_path / name).write_text(unit.replace("/opt/fourfold/bin", str(commands)))
    words = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)]
    verified = subprocess.run(words, check=False, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(tmp_path / names[0])]
    rated = subprocess.run(words, check=False, capture_output=True, text=True)
    assert rated.returncode == 0, rated.stdout[-200:]
