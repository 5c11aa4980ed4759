"use strict";
// Sorting: a click on a heading sorts each group of the table, so that bounds stay apart.
for (const table of document.querySelectorAll("table.sortable")) {
  const bodies = [...table.tBodies].map((body) => ({ body, rows: [...body.rows] }));
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const steps = column ? ["none", "descending", "ascending"] : ["none", "ascending", "descending"];
      const next = steps[(steps.indexOf(heading.getAttribute("aria-sort")) + 1) % 3];
      headings.forEach((other) => other.hasAttribute("aria-sort") && other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", next);
      for (const { body, rows } of bodies) body.append(...sorted(rows, column, next));
    });
  });
}
function sorted(rows, column, direction) {
  const [group, ...lines] = rows;
  if (direction === "none") return rows;
  const sign = direction === "ascending" ? 1 : -1;
  const number = (row) => {
    const text = row.cells[column].dataset.value;
    return text ? Number(text.replace("inf", "Infinity")) : NaN;
  };
  const order = (a, b) => {
    if (!column) return sign * a.cells[0].textContent.localeCompare(b.cells[0].textContent);
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  };
  return [group, ...lines.sort(order)];
}
// Players: one position for all signals of a track; another signal goes on where the last one was.
const players = [...document.querySelectorAll(".player")].filter((player) => player.querySelector("audio"));
for (const player of players) {
  const [controls, play, seek, time] = [".controls", ".play", ".seek", ".time"].map((name) => player.querySelector(name));
  const signals = [...player.querySelectorAll(".signal")].map((signal) => ({
    signal, radio: signal.querySelector("input"), audio: signal.querySelector("audio"),
  }));
  let current = signals.find(({ radio }) => radio.checked) || signals[0];
  let playing = false;
  controls.hidden = false;
  for (const { audio } of signals) audio.controls = false;
  const show = () => {
    const position = current.audio.currentTime;
    seek.value = position;
    time.value = position.toFixed(1) + " s";
    seek.setAttribute("aria-valuetext", time.value);
    for (const head of player.querySelectorAll(".head")) head.style.left = (100 * position) / seek.max + "%";
  };
  const follow = () => {
    show();
    if (playing) requestAnimationFrame(follow);
  };
  const state = (on) => {
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(on));
    player.classList.toggle("playing", on || current.audio.currentTime > 0);
    if (on) follow(); else show();
  };
  player.stop = () => { current.audio.pause(); state(false); };
  const start = () => {
    for (const other of players) if (other !== player) other.stop();
    for (const { audio } of signals) audio.preload = "auto";
    if (current.audio.currentTime >= seek.max - 0.02) current.audio.currentTime = 0;
    current.audio.play().then(() => state(true), () => state(false));
  };
  play.addEventListener("click", () => (playing ? player.stop() : start()));
  seek.addEventListener("input", () => { current.audio.currentTime = Number(seek.value); show(); player.classList.add("playing"); });
  for (const one of signals) {
    one.audio.addEventListener("ended", () => one === current && state(false));
    one.radio.addEventListener("change", () => {
      const position = current.audio.currentTime;
      current.audio.pause();
      current = one;
      current.audio.currentTime = position;
      if (playing) current.audio.play().catch(() => state(false));
      show();
    });
  }
}
// Print shows what is folded away.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
