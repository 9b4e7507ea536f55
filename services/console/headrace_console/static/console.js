// All that pages do with a script of ours; without it they are read all the same.
"use strict";

// Times in the reader's zone; UTC stays on hover.
function written(at, form) {
  const two = (n) => String(n).padStart(2, "0");
  const parts = { "%m": at.getMonth() + 1, "%d": at.getDate(), "%H": at.getHours(), "%M": at.getMinutes(), "%S": at.getSeconds() };
  return form.replace(/%[mdHMS]/g, (part) => two(parts[part]));
}

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-ago])")) {
    const at = new Date(time.dateTime);
    time.textContent = at.getFullYear() + written(at, "seconds" in time.dataset ? "-%m-%d %H:%M:%S" : "-%m-%d %H:%M");
  }
  // On the axes of charts; what is before the title is replaced.
  for (const label of root.querySelectorAll("text[data-time]")) {
    label.firstChild.data = written(new Date(label.dataset.time), label.dataset.form);
  }
  for (const zone of root.querySelectorAll("text.zone")) zone.remove();
}

// `/` goes to the search box, as in many tools; not while somebody types.
function toSearch(event) {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  const box = document.getElementById("search");
  if (event.key === "/" && !typing && box && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  }
}

document.addEventListener("keydown", toSearch);
document.addEventListener("htmx:afterSwap", (event) => localise(event.target));
// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button")) setTimeout(() => { button.disabled = true; }, 0);
});
// A page that comes back from the browser's memory may be sent again.
addEventListener("pageshow", () => document.querySelectorAll("button:disabled").forEach((button) => { button.disabled = false; }));
localise(document);
