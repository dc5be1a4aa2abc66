// Figures take the page's ink, in light, in dark and on paper; on paper all details are open.
function colour() {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  for (const figure of document.querySelectorAll(".plotly-graph-div")) Plotly.relayout(figure, { "font.color": ink });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
matchMedia("print").addEventListener("change", colour);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => (d.open = true)));
addEventListener("load", colour);
