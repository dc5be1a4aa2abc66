() => {
  // Screen readers say what changes.
  for (const one of document.querySelectorAll("#facts, #answers, #drawn")) one.setAttribute("aria-live", "polite");
  // What scrolls takes the focus; a list of names is not to: Tab goes on to what comes next.
  const unfocused = () => document.querySelectorAll("ul[role=listbox]").forEach((list) => (list.tabIndex = -1));
  new MutationObserver(unfocused).observe(document.body, { childList: true, subtree: true });
  // The key that leaves a list opens it again in Gradio; Escape closes it.
  const escape = new KeyboardEvent("keydown", { key: "Escape", bubbles: true });
  const close = ({ target }) => target.matches?.("input[role=combobox]") && target.dispatchEvent(escape);
  document.addEventListener("focusout", close);
  // Small pictures are enlarged, and show their pixels.
  const enlarge = ({ target }) =>
    target.matches?.("#picture img") && (target.style.imageRendering = target.naturalWidth < 128 ? "pixelated" : "auto");
  document.addEventListener("load", enlarge, true);
  // A picture may be pasted anywhere: Gradio itself has a button for it alone.
  document.addEventListener("paste", ({ clipboardData }) => {
    const files = clipboardData.files; // which are gone once this returns
    const put = () => {
      const input = document.querySelector("#picture input[type=file]");
      if (!input) return false;
      input.files = files;
      return input.dispatchEvent(new Event("change", { bubbles: true }));
    };
    if (!files.length || put()) return;
    document.querySelector("#picture :is([aria-label='Remove Image'], [aria-label='Upload file'])")?.click();
    setTimeout(put, 100);
  });
}
