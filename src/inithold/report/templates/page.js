"use strict";
// Everything is there and usable without this; it only finds, opens and closes.
(() => {
  const timeline = document.querySelector(".timeline");
  const steps = [...timeline.querySelectorAll("details.step")];
  const text = new Map(steps.map((step) => [step, step.dataset.text.toLowerCase()]));
  const $ = (id) => document.getElementById(id);

  const reveal = () => {
    const target = $(decodeURIComponent(location.hash.slice(1)));
    const step = target && target.closest("details");
    if (!step) return;
    step.open = true;
    step.hidden = false;
    step.scrollIntoView({ block: "nearest" });
    step.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  // The second click on the same link changes no hash.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) reveal();
  });
  reveal();

  const tools = document.querySelector(".tools");
  if (tools) {
    const find = $("find"), show = $("show"), found = $("found");
    const filter = () => {
      const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = show.value;
      let count = 0;
      for (const step of steps) {
        const fits = words.every((word) => text.get(step).includes(word)) &&
          (!wanted || step.dataset.state === wanted || (wanted === "on-path" && step.classList.contains("on-path")));
        step.hidden = !fits;
        count += fits;
      }
      timeline.classList.toggle("filtered", count < steps.length);
      found.textContent = `${count} of ${steps.length} shown`;
    };
    find.addEventListener("input", filter);
    show.addEventListener("change", filter);
    const all = (open) => () => { for (const step of steps) if (!step.hidden) step.open = open; };
    $("unfold").addEventListener("click", all(true));
    $("fold").addEventListener("click", all(false));
    tools.hidden = false;
  }

  // On paper nothing can be opened: what failed or changed is, and everything where that is not much.
  let opened = [];
  addEventListener("beforeprint", () => {
    const folded = [...document.querySelectorAll("details:not([open])")];
    opened = folded.filter((each) => steps.length <= 40 || each.dataset.state === "failed");
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    opened = [];
  });
})();
