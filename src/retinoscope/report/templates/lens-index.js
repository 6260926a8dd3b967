"use strict";
// Shows the entries whose text holds every word that was typed.
(() => {
  const entries = [...document.querySelectorAll(".entry")];
  const texts = entries.map((entry) => entry.textContent.toLocaleLowerCase());
  document.getElementById("find").addEventListener("input", (event) => {
    const words = event.target.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    entries.forEach((entry, i) => {
      entry.hidden = !words.every((word) => texts[i].includes(word));
      count += !entry.hidden;
    });
    document.getElementById("found").textContent = `${count} page${count === 1 ? "" : "s"}`;
  });
})();
