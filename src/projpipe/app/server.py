"""The page's server: Gradio's, and a route that makes the zip of a model when it is asked for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: it is not to tell anyone

import gradio as gr
import torch
import uvicorn
from fastapi import FastAPI, Response

from projpipe.app.loaded import LoadedProjector
from projpipe.app.page import SCRIPT, STYLE, THEME, build
from projpipe.errors import InputError

LOOPBACK = "127.0.0.1"
PORTS = range(7860, 7960)  # tried in this order where none is asked for
LARGEST_UPLOAD = "50mb"
PATIENCE = 2  # seconds for open pages when the server ends


def web_app(loaded: LoadedProjector) -> FastAPI:
    """The page for a projector, and `model.zip?classes=<ids>&size=<size>&onnx=<0 or 1>`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/model.zip")
    def model(classes: str, size: str | None = None, onnx: bool = False) -> Response:
        try:
            content = loaded.zipped([int(one) for one in classes.split(",")], size, onnx)
        except ValueError as error:  # an InputError is one
            return Response(f"{error}\n", 400, media_type="text/plain; charset=utf-8")
        return Response(content, media_type="application/zip")

    blocks = build(loaded)
    blocks.has_launched = True  # only then does Gradio refuse paths of files that nobody uploaded
    return gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=THEME,
        css_paths=STYLE,
        js=SCRIPT.read_text(encoding="utf-8"),
        allowed_paths=[str(path.resolve()) for path in loaded.examples],
        footer_links=[],
        run_history=False,
        max_file_size=LARGEST_UPLOAD,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
    )


def serve(
    projector: Path | str, host: str = LOOPBACK, port: int | None = None, ready: Callable[[str], None] = print
) -> None:
    """Serve the page for a projector until the program is told to end.

    Args:
        projector: its folder, or its name.
        host: the address to listen on; others than this machine reach it only where it is another than the default.
        port: None for the first free one from 7860 on, 0 for any.
        ready: told the page's address once it can be opened.

    Raises:
        InputError: there is no such projector, or the port cannot be had.
    """
    torch.set_num_threads(1)  # small products are faster with one, and there may be many people
    loaded = LoadedProjector.read(projector)
    with _listening(host, port) as listening, TemporaryDirectory() as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        config = uvicorn.Config(web_app(loaded), log_level="warning", timeout_graceful_shutdown=PATIENCE)
        name = f"[{host}]" if ":" in host else host
        ready(f"http://{name}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket that takes connections from now on."""
    tried = PORTS if port is None else [port]
    for one in tried:
        try:
            return socket.create_server(
                (host, one), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
            )
        except OSError as error:
            reason = error.strerror or str(error)
    raise InputError(f"--port: {tried[-1]} of {host} cannot be had ({reason}); choose another, or 0 for any")
