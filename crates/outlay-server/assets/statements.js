// Comments and sign-offs, and whether the evidence is what was recorded.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { ask, send, make } = Outlay;

  for (const form of document.querySelectorAll("form[data-statement]")) {
    const answer = form.querySelector(".answer");
    try {
      form.elements.who.value = localStorage.getItem("outlay-who") ?? "";
    } catch {
      // Storage is forbidden.
    }
    Outlay.me().then(({ name }) => {
      if (!name) return;
      form.elements.who.value = name;
      form.elements.who.readOnly = true;
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const path = event.submitter?.value ?? "comments";
      const { subject, who, text } = form.elements;
      const buttons = form.querySelectorAll("button");
      for (const button of buttons) button.disabled = true;
      try {
        const told = await send(`/api/v1/${path}`, { subject: subject.value, who: who.value, text: text.value });
        try {
          if (!who.readOnly) localStorage.setItem("outlay-who", who.value);
        } catch {
          // It is asked for again.
        }
        text.value = "";
        answer.className = "answer";
        answer.textContent = `Recorded and signed: ${told.kind} about ${told.subject}.`;
        await renew();
      } catch (error) {
        answer.className = "answer fault";
        answer.textContent = error.message;
      } finally {
        for (const button of buttons) button.disabled = false;
      }
    });
  }

  /** Shows the newest records where this page has a list of them. */
  async function renew() {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    const [old, now] = [document, fresh].map((page) => page.querySelector("ol.records"));
    if (!now) return;
    if (old) old.replaceWith(now);
    else document.getElementById("s-evidence")?.replaceChildren(now);
    Outlay.tellTimes(now);
  }

  const verify = document.getElementById("verify");
  const verified = document.getElementById("verified");
  verify?.addEventListener("click", async () => {
    verify.disabled = true;
    verified.replaceChildren(make("p", { class: "dim" }, "Hashing…"));
    try {
      const found = await ask("/api/v1/evidence/verify");
      const count = `${Outlay.count(found.size)} record${found.size === 1 ? "" : "s"}`;
      const parts = found.is_sound
        ? [make("p", { class: "notice good" }, `Sound: ${count}, checked in ${Outlay.duration(found.seconds)}.`)]
        : [make("p", { class: "notice bad" }, `Not as it was recorded: ${found.tampering.length} finding${found.tampering.length === 1 ? "" : "s"}.`), make("ul", {}, ...found.tampering.map((text) => make("li", { class: "break" }, text)))];
      parts.push(...found.notes.map((text) => make("p", { class: "dim" }, text)));
      if (found.checkpoint) {
        const link = make("a", { href: URL.createObjectURL(new Blob([found.checkpoint], { type: "text/plain" })), download: "checkpoint.txt" }, "Save the checkpoint");
        parts.push(make("p", {}, link, make("small", {}, " and keep it elsewhere: it shows any change of what is there now.")));
      }
      verified.replaceChildren(...parts);
    } catch (error) {
      verified.replaceChildren(make("p", { class: "fault" }, error.message));
    } finally {
      verify.disabled = false;
    }
  });
});
