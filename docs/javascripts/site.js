// The theme puts wide tables into boxes that scroll sideways, and the buttons of each code block into a landmark. This lets the
// keyboard reach the boxes, and makes the landmarks plain elements.
new MutationObserver(() => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) {
    box.tabIndex = 0;
  }
  for (const buttons of document.querySelectorAll("nav.md-code__nav")) {
    const plain = document.createElement("div");
    plain.className = buttons.className;
    plain.append(...buttons.childNodes);
    buttons.replaceWith(plain);
  }
}).observe(document.documentElement, { childList: true, subtree: true });
