// Figures take the page's ink, in light, in dark and on paper; on paper all details are open. Tables say what they hide.
function colour() {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  for (const figure of document.querySelectorAll(".plotly-graph-div")) Plotly.relayout(figure, { "font.color": ink });
}
function hint() {
  for (const table of document.querySelectorAll(".scroll"))
    table.classList.toggle("more", table.scrollWidth > table.clientWidth + 1);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
matchMedia("print").addEventListener("change", colour);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
for (const change of ["load", "resize"]) addEventListener(change, hint);
document.addEventListener("toggle", hint, true);
addEventListener("load", colour);
