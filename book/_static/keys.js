// Left and right turn pages (by Sphinx's own script) only where nothing else wants the keys: no box that
// scrolls, no slider. Escape closes the meaning of a term, until the reader points at something else.
document.body.addEventListener("keydown", (event) => {
  const turns = event.key === "ArrowLeft" || event.key === "ArrowRight";
  if (turns && !event.target.matches("body, a")) event.stopPropagation();
});
const tips = (are) => document.documentElement.classList.toggle("no-tips", !are);
addEventListener("keydown", (event) => { if (event.key === "Escape") tips(false); });
for (const moved of ["pointerover", "focusin"]) addEventListener(moved, () => tips(true));
