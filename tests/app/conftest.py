"""The page of two projectors, served as people do it, and a browser to look at it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from browsing import opened, serving
from makers import DIGITS, elastic, make_projector
from projpipe.projection.source import Source

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CLASSES = [*DIGITS[:9], "<b>nine</b>"]
GROUPS = ["even" if number % 2 == 0 else "odd" for number in range(10)]
FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="session")
def folder(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A projector of three sizes with groups and two examples; the largest takes every picture for none of its own."""
    projector = elastic(make_projector(source))
    assert projector.size_table is not None
    measured = zip(projector.size_table.sizes, (-9e5, -9e5, 9e5), strict=True)
    sizes = [replace(size, energy_threshold=limit) for size, limit in measured]
    data = {"name": "digits", "classes": CLASSES, "groups": GROUPS, "held_out_classes": ["eight"]}
    table = replace(projector.size_table, sizes=tuple(sizes))
    folder = tmp_path_factory.mktemp("page") / "projector"
    replace(projector, data=data, size_table=table).save(folder)
    (folder / "examples").mkdir()
    for name in ("zero", "two"):
        noise = np.random.default_rng(len(name)).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "examples" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")  # what listens is gone before tests that look at all that does
def served(folder: Path) -> Iterator[tuple[str, int]]:
    with serving(folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs chromium to open the page: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE_CAMERA])


@pytest.fixture
def page(browser: Browser, served: tuple[str, int]) -> Iterator[Page]:
    with opened(browser, served[0], permissions=["camera", "clipboard-read", "clipboard-write"]) as page:
        yield page
