"use strict";
{
  const box = document.getElementById("search");
  const found = document.getElementById("found");
  const items = Array.from(document.querySelectorAll("article"), e => [e, e.textContent.toLowerCase()]);
  box.addEventListener("input", () => {
    const want = box.value.trim().toLowerCase();
    let count = 0;
    for (const [e, text] of items) {
      e.hidden = !text.includes(want);
      if (!e.hidden) count++;
    }
    found.textContent = want === "" ? "" : count + " of " + items.length;
  });
}
