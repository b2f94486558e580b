"""As much of the Hugging Face Hub as its library needs, on this machine."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

COMMIT = "a" * 40


class Hub:
    """Repositories by name, and what was asked of them."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.created: list[dict[str, object]] = []
        self.asked: list[tuple[str, str, str | None]] = []

    @contextmanager
    def served(self) -> Iterator[str]:
        """Yield the address of the server."""
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.get(self)

            def do_HEAD(self) -> None:
                hub.get(self)

            def do_POST(self) -> None:
                hub.post(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
            running.daemon_threads = True
            threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
            try:
                yield f"http://127.0.0.1:{running.server_address[1]}"
            finally:
                running.shutdown()

    def get(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Answer a request for a list of files, or for a file."""
        self._note(request)
        parts = request.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and "/".join(parts[2:4]) in self.repositories:
            files = self.repositories["/".join(parts[2:4])]
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            siblings = {"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            self._json(request, listed if "tree" in parts else siblings)
        elif parts[2:3] == ["resolve"] and parts[4] in self.repositories.get("/".join(parts[:2]), {}):
            content = self.repositories["/".join(parts[:2])][parts[4]]
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
            self._answer(request, 200, content, headers)
        else:
            code = "EntryNotFound" if "/".join(parts[:2]) in self.repositories else "RepoNotFound"
            self._answer(request, 404, b"{}", {"X-Error-Code": code})

    def post(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        """Answer a request to create a repository, or to add files to one."""
        self._note(request)
        if request.path == "/api/repos/create":
            wanted = json.loads(body)
            self.created.append(wanted)
            name = f"{wanted.get('organization', 'somebody')}/{wanted['name']}"
            self.repositories.setdefault(name, {})
            self._json(request, {"url": f"http://127.0.0.1/{name}", "name": name, "id": name})
        elif "/preupload/" in request.path:
            files = json.loads(body)["files"]
            answer = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
            self._json(request, {"files": answer, "commitOid": COMMIT})
        elif "/commit/" in request.path:
            name = "/".join(request.path.strip("/").split("/")[2:4])
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._json(request, {"commitUrl": f"http://127.0.0.1/{name}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self._json(request, {"errors": [], "warnings": []})

    def _note(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.asked.append((request.command, request.path, request.headers.get("Authorization")))

    def _json(self, request: http.server.BaseHTTPRequestHandler, value: object) -> None:
        self._answer(request, 200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(
        self, request: http.server.BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]
    ) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)
