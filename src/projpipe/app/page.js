() => {
  // Screen readers say what changes.
  for (const one of document.querySelectorAll("#facts, #answers, #drawn")) one.setAttribute("aria-live", "polite");
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
