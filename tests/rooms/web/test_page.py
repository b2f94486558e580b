"""The page as it is sent. The one test of the usual suite that imports Gradio, which takes seconds."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.testclient import TestClient

from biggan.web.bounds import Bounds
from biggan.web.page import blocks
from biggan.web.server import application
from biggan.web.service import Service
from tests.rooms.web.served import folder
from tests.snapshots import write


def test_the_page_names_no_other_host_and_calls_nothing(tmp_path: Path) -> None:
    service = Service([str(folder(tmp_path))], "cpu")
    try:
        app = application(service, "127.0.0.1", Bounds())
        with TestClient(app, base_url="http://localhost") as client:  # type: ignore[arg-type]
            page = client.get("/")
            assert page.status_code == 200
            hosts = set(re.findall(r"""(?:https?:)?//([a-z0-9-]+(?:\.[a-z0-9-]+)+)""", page.text))
            assert hosts <= {"www.w3.org"}, hosts  # the name of SVG is no address
            assert "default-src 'self'" in page.headers["content-security-policy"]
            assert 'src="./assets/' in page.text
            config = client.get("/config").json()
            assert config["analytics_enabled"] is False
            assert config["title"] == "4 models - biggan"
            assert not any(one["backend_fn"] for one in config["dependencies"]), "no event calls Python"
            for path in (
                "/gradio_api/upload",
                "/gradio_api/queue/join",
                "/gradio_api/run/predict",
                "/gradio_api/call/x",
            ):
                assert client.post(path, content=b"{}").status_code == 404
            for path in ("/gradio_api/file=/etc/passwd", "/gradio_api/info", "/monitoring/summary", "/docs"):
                assert client.get(path).status_code == 404
            image = client.get("/api/image?seed=3")
            assert image.content.startswith(b"\x89PNG")
            assert image.headers["x-content-type-options"] == "nosniff"
    finally:
        service.close()


def test_a_page_of_one_model_says_which(tmp_path: Path) -> None:
    service = Service([str(write(tmp_path / "my <b> pictures.safetensors"))], "cpu")
    try:
        config = blocks(service).get_config_file()
    finally:
        service.close()
    (about,) = [
        one["props"]["value"] for one in config["components"] if "bg-about" in str(one["props"].get("value", ""))
    ]
    assert "my &lt;b&gt; pictures" in about
    assert "16 x 16 pixels, 10 classes" in about
    assert "my <b> pictures" in config["title"]
