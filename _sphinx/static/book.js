// What overflows can be scrolled with the keyboard. The theme does this for code and tables;
// formulas are typeset later and are ours.
function markScrollableFormulas() {
  for (const formula of document.querySelectorAll("div.math > mjx-container, span.math")) {
    const hidden = formula.scrollWidth - formula.clientWidth;
    if (hidden > 2) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }
}

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  markScrollableFormulas();
  new ResizeObserver(markScrollableFormulas).observe(document.querySelector("main"));
});

// Paper has nothing to click on: print what is folded, then fold it again.
const opened = [];
window.addEventListener("beforeprint", () => {
  opened.push(...document.querySelectorAll("details:not([open])"));
  for (const details of opened) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of opened.splice(0)) details.open = false;
});
