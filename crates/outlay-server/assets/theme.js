// Before anything is drawn: the theme that was chosen, if one was.
(() => {
  "use strict";
  try {
    const chosen = localStorage.getItem("outlay-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is forbidden; the system's theme holds.
  }
})();
