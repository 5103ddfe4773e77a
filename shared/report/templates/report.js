"use strict";
(() => {
  const print = (number) => (number > 0 ? "+" : number < 0 ? "\u2212" : "") + Math.abs(number).toPrecision(2);

  // One viewer: the map of the chosen method and class over the image, as opaque as wanted.
  const watch = (viewer) => {
    const find = (name) => viewer.querySelector(`[data-${name}]`);
    const layers = JSON.parse(viewer.dataset.layers);
    const [method, target, opacity] = ["method", "target", "opacity"].map(find);
    const picture = find("picture");

    const show = () => {
      const wanted = { method: method ? method.value : null, target: target ? target.value : null };
      const layer = layers.find((one) => (!method || one.method === wanted.method) && (!target || one.target === wanted.target));
      find("none").hidden = Boolean(layer);
      const drawn = picture.querySelector(".layer");
      drawn.style.display = layer ? "" : "none";
      if (!layer) {
        find("caption").textContent = "";
        find("failed").hidden = true;
        find("undecided").hidden = true;
        return;
      }
      drawn.setAttribute("href", `#${layer.picture}`);
      picture.setAttribute("aria-label", `${layer.caption}, over ${viewer.dataset.of}`);
      find("caption").textContent = layer.caption;
      find("low").textContent = layer.low === 0 ? "0" : print(layer.low);
      find("high").textContent = print(layer.high);
      find("scale").classList.toggle("one-sided", !layer.signed);
      find("failed").hidden = !layer.failed;
      find("failed-words").textContent = layer.failed;
      find("undecided").hidden = !layer.undecided;
      find("undecided-words").textContent = layer.undecided;
    };
    const fade = () => {
      const share = Number(opacity.value);
      (viewer.closest("[data-fades]") || viewer).style.setProperty("--opacity", String(share / 100));
      (viewer.closest("[data-fades]") || viewer).classList.toggle("bare", share === 0);
      find("share").textContent = `${share}\u202f%`;
    };
    const toggle = (name) => {
      const box = find(name);
      if (box) box.addEventListener("change", () => viewer.classList.toggle(`without-${name}`, !box.checked));
    };
    [method, target].forEach((choice) => choice && choice.addEventListener("change", show));
    opacity.addEventListener("input", fade);
    ["outline", "marks"].forEach(toggle);
    find("controls").hidden = false;
    show();
    fade();
  };

  // A slider that fades the maps over many small pictures.
  const fadeAll = (control) => {
    const slider = control.querySelector("input");
    const fade = () => {
      const part = control.closest("[data-fades]");
      part.style.setProperty("--opacity", String(Number(slider.value) / 100));
      part.classList.toggle("bare", slider.value === "0");
      control.querySelector("output").textContent = `${slider.value}\u202f%`;
    };
    slider.addEventListener("input", fade);
    control.hidden = false;
    fade();
  };

  // Tables as files, from the data that are embedded once.
  const cell = (value) => {
    if (value === null) return "";
    if (typeof value === "number") return String(value);
    // a spreadsheet takes such a text for a formula
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const written = {
    csv: ({ columns, rows }) => [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n",
    json: ({ title, columns, rows }) =>
      JSON.stringify({ title, rows: rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]]))) }, null, 1),
  };
  const kinds = { csv: "text/csv;charset=utf-8", json: "application/json" };
  const save = (button, datasets) => {
    const { dataset, format } = button.dataset;
    const address = URL.createObjectURL(new Blob([written[format](datasets[dataset])], { type: kinds[format] }));
    const link = document.createElement("a");
    link.href = address;
    link.download = `${document.body.dataset.bundle}_${dataset}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };

  document.querySelectorAll("[data-viewer]").forEach(watch);
  document.querySelectorAll("[data-fader]").forEach(fadeAll);
  const embedded = document.getElementById("datasets");
  if (embedded) {
    const datasets = JSON.parse(embedded.textContent);
    document.querySelectorAll("[data-downloads]").forEach((place) => {
      place.hidden = false;
      place.querySelectorAll("button").forEach((button) => button.addEventListener("click", () => save(button, datasets)));
    });
  }
  // what is folded away is printed too
  const folded = () => document.querySelectorAll("details:not([open])");
  let opened = [];
  addEventListener("beforeprint", () => { opened = [...folded()]; opened.forEach((one) => { one.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((one) => { one.open = false; }); opened = []; });
})();
