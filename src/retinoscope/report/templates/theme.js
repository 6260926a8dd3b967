"use strict";
// Light, dark, or as the system says; kept where the browser lets a page keep things.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const keep = (value) => { try { localStorage.setItem("retinoscope-theme", value); } catch { /* a file opened from disk may keep nothing */ } };
  const kept = () => { try { return localStorage.getItem("retinoscope-theme"); } catch { return null; } };
  const system = () => matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const now = () => root.dataset.theme || system();
  const set = (theme) => {
    root.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  if (["light", "dark"].includes(kept())) set(kept());
  button?.addEventListener("click", () => {
    set(now() === "dark" ? "light" : "dark");
    keep(now());
  });
})();
