"use strict";
// Turns the figures, which stand in the page already, into ones that answer to the pointer.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const colour = () => getComputedStyle(document.body).color;
  const places = [...document.querySelectorAll("[data-figure]")];
  const options = { displaylogo: false, responsive: true, displayModeBar: false };
  for (const place of places) {
    const { data, layout } = figures[place.dataset.figure];
    place.hidden = false;
    Plotly.newPlot(place, data, { ...layout, font: { color: colour() } }, options).then(() => {
      place.previousElementSibling.hidden = true;
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const place of places) Plotly.relayout(place, { "font.color": colour() });
  });
})();
