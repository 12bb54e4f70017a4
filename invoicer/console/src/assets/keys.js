// Keys for those who want them; every page works without.
"use strict";
(() => {
  const rows = () => [...document.querySelectorAll("main [data-row]")];
  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = event.target.closest("input, select, textarea");
    if (event.key === "Escape" && field) return field.blur();
    if (field) return;
    const goes = Date.now() - going < 1500;
    going = 0;
    if (goes) {
      const way = document.querySelector(`nav [data-go="${CSS.escape(event.key)}"]`);
      if (way) way.click();
      return;
    }
    if (event.key === "g") going = Date.now();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") {
      event.preventDefault();
      const find = document.getElementById("search");
      if (find) find.focus();
    }
  });
})();
