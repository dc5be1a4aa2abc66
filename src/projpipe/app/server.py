"""The page's server: Gradio's, and a route that makes the zip of a model when it is asked for."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported: it is not to tell anyone

import gradio as gr
import torch
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError

from projpipe.app.listening import LOOPBACK, address, listen
from projpipe.app.loaded import LoadedProjector
from projpipe.app.page import SCRIPT, STYLE, THEME, build
from projpipe.errors import InputError

LARGEST_UPLOAD = "50mb"
PATIENCE = 2  # seconds for open pages when the server ends


def web_app(loaded: LoadedProjector) -> FastAPI:
    """The page for a projector, and `model.zip?classes=<ids>&size=<size>&onnx=<0 or 1>`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/model.zip")
    def model(classes: str = "", size: str | None = None, onnx: bool = False) -> Response:
        try:
            if not re.fullmatch(r"-?\d{1,9}(,-?\d{1,9})*", classes, re.ASCII):
                raise InputError(f"classes: {classes[:40]!r} are no numbers of classes; write them as 3,5")
            content = loaded.zipped([int(one) for one in classes.split(",")], size, onnx)
        except InputError as error:
            return _refusal(str(error))
        return Response(content, media_type="application/zip")

    @app.exception_handler(RequestValidationError)
    def refuse(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _refusal(f"{first['loc'][-1]}: {first['msg']}")

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


def _refusal(message: str) -> Response:
    return Response(f"{message}\n", 400, media_type="text/plain; charset=utf-8")


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
        InputError: there is no such projector, or the address or the port cannot be had.
    """
    with listen(host, port) as listening:
        serve_at(listening, projector, lambda: ready(address(host, listening)))


def serve_at(listening: socket.socket, projector: Path | str, ready: Callable[[], None]) -> None:
    """Serve the page where somebody listens already; `ready` is called once it can be opened."""
    torch.set_num_threads(1)  # small products are faster with one, and there may be many people
    loaded = LoadedProjector.read(projector)
    with TemporaryDirectory() as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        config = uvicorn.Config(web_app(loaded), log_level="warning", timeout_graceful_shutdown=PATIENCE)
        ready()
        uvicorn.Server(config).run(sockets=[listening])
