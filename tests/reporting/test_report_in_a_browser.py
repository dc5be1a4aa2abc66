"""The report in Chromium, without network, as wide as a desk's screen and as a phone's."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

FIGURES = ("scores", "learning_curves", "tasks", "pareto")
# Chromium's window has a least width, a frame has none. All details are open; boxes are [left, top, right, bottom].
FRAME = """<!doctype html><iframe src="report.html" width="WIDTH" height="900"></iframe><script>
const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
setTimeout(() => {
  const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach((d) => (d.open = true));
  setTimeout(() => {
    const tables = [...page.querySelectorAll(".scroll")].map((t) => [
      t.scrollWidth > t.clientWidth + 1,
      t.ownerDocument.defaultView.getComputedStyle(t, "::before").content,
    ]);
    const texts = [...page.querySelectorAll(".plotly-graph-div")].map((f) => [...f.querySelectorAll("text")]
      .filter((t) => t.textContent && !t.closest(".hoverlayer")).map((t) => [t.textContent, box(t), box(f)]));
    const pictures = [...page.querySelectorAll(".cards img")].map(box);
    document.body.textContent = JSON.stringify({
      width: root.clientWidth, needed: root.scrollWidth, tables, texts, pictures,
    });
  }, 2000);
}, 6000);
</script>"""


def opened(page: Path, *options: str) -> str:
    """The elements of a page after its scripts ran; none of them may say anything."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--virtual-time-budget=12000",
        "--dump-dom",
        *options,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout


def test_all_figures_are_drawn(report: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(report, encoding="utf-8")
    page = re.sub(r"<script.*?</script>", "", opened(tmp_path / "report.html"), flags=re.DOTALL)
    for name in FIGURES:
        drawn = page[page.index(f'id="figure-{name}"') :]
        assert 0 < drawn.index('class="main-svg"') < drawn.index("</figure>")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_or_overprinted_and_tables_say_that_they_scroll(
    render: Any, accuracy: Any, with_controls: dict[str, Any], tmp_path: Path, width: int
) -> None:
    (tmp_path / "report.html").write_text(render(accuracy, with_controls), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    dumped = opened(tmp_path / "frame.html", "--allow-file-access-from-files", "--hide-scrollbars")
    found = json.loads(dumped[dumped.index("{") : dumped.rindex("}") + 1].replace("&gt;", ">").replace("&lt;", "<"))

    assert found["needed"] <= found["width"]
    assert [hides for hides, _ in found["tables"]] == ["scroll sideways" in hint for _, hint in found["tables"]]
    assert any(hides for hides, _ in found["tables"])  # that of six kinds on a desk's screen too
    assert min(right - left for left, _, right, _ in found["pictures"]) >= 95
    for texts in found["texts"]:
        for at, (text, (left, top, right, bottom), figure) in enumerate(texts):
            assert left >= figure[0] - 1, text
            assert right <= figure[2] + 1, text
            for other, (left2, top2, right2, bottom2), _ in texts[:at]:
                apart = right <= left2 + 2 or right2 <= left + 2 or bottom <= top2 + 4 or bottom2 <= top + 4
                assert apart, (text, other)
