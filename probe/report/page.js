"use strict";
(() => {
  const tip = document.getElementById("tip");

  const numberIn = (text) => {
    const found = text.replace(/(\d),(?=\d{3})/g, "$1").match(/[-+]?\d*\.?\d+/);
    return found ? Number(found[0]) : NaN;
  };

  const compare = (left, right, numeric) => {
    if (!numeric) return left.localeCompare(right, "en", { numeric: true });
    return numberIn(left) - numberIn(right);
  };

  const sort = (header) => {
    const table = header.closest("table");
    const column = header.cellIndex;
    const numeric = header.dataset.numeric === "true";
    const before = header.getAttribute("aria-sort");
    // Numbers are looked at from the greatest down, words from the first letter on.
    const first = numeric ? "descending" : "ascending";
    const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const text = (row) => row.cells[column].textContent.trim();
    const isEmpty = (row) => numeric && Number.isNaN(numberIn(text(row)));
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => isEmpty(a) - isEmpty(b) || (isEmpty(a) ? 0 : sign * compare(text(a), text(b), numeric)));
    table.tBodies[0].append(...rows);
  };

  const filter = (input) => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
    const shown = rows.filter((row) => !row.hidden).length;
    input.parentElement.querySelector("output").textContent =
      shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
  };

  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, window.innerWidth - box.width - 4))}px`;
    tip.style.top = `${y - box.height - 12 > 0 ? y - box.height - 12 : y + 16}px`;
  };

  const hide = () => {
    tip.hidden = true;
    document.querySelectorAll(".here").forEach((mark) => mark.classList.remove("here"));
  };

  const pointAt = (target) => {
    hide();
    target.previousElementSibling?.closest(".mark")?.classList.add("here");
    const box = target.getBoundingClientRect();
    show(target.dataset.tip, box.x, box.y);
  };

  const nearest = (chart, x, y) => {
    let best = null;
    chart.querySelectorAll(".target").forEach((target) => {
      const box = target.getBoundingClientRect();
      const distance = Math.hypot(box.x + box.width / 2 - x, box.y + box.height / 2 - y);
      if (!best || distance < best.distance) best = { target, distance };
    });
    return best && best.distance < 40 ? best.target : null;
  };

  document.querySelectorAll(".sortable th").forEach((header) => {
    header.querySelector("button").addEventListener("click", () => sort(header));
  });
  document.querySelectorAll("[data-filters]").forEach((input) => {
    input.addEventListener("input", () => filter(input));
  });
  document.querySelectorAll(".chart").forEach((chart) => {
    let place = -1;
    chart.addEventListener("pointermove", (event) => {
      const target = nearest(chart, event.clientX, event.clientY);
      target ? pointAt(target) : hide();
    });
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      const targets = chart.querySelectorAll(".target");
      place = (place + step + targets.length) % targets.length;
      pointAt(targets[place]);
    });
  });
  document.querySelectorAll(".heat td[data-tip]").forEach((cell) => {
    cell.addEventListener("pointermove", (event) => show(cell.dataset.tip, event.clientX, event.clientY));
    cell.addEventListener("pointerleave", hide);
  });
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
