// Parts of a page that are drawn anew when something happens: the page is asked for again, and its live parts change places.
"use strict";

{
  let isWaiting = false;
  let last = 0;
  const pause = 2000;

  async function renew() {
    isWaiting = false;
    last = Date.now();
    let fresh;
    try {
      const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!reply.ok) return;
      fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    } catch {
      return; // The server is away; the next event comes when it is back.
    }
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (!now || now.innerHTML === old.dataset.was || old.contains(document.activeElement)) continue;
      old.dataset.was = now.innerHTML;
      old.replaceChildren(...now.childNodes);
      Outlay.tellTimes(old);
    }
    document.dispatchEvent(new CustomEvent("outlay-renewed"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    const run = document.body.querySelector("[data-run]")?.dataset.run;
    Outlay.watch(run, (change) => {
      document.dispatchEvent(new CustomEvent("outlay-change", { detail: change }));
      if (isWaiting) return;
      isWaiting = true;
      setTimeout(renew, Math.max(0, pause - (Date.now() - last)));
    });
  });
}
