"use strict";
// Sorting: a click on a heading sorts each group of the table, so that bounds stay apart.
for (const table of document.querySelectorAll("table.sortable")) {
  const bodies = [...table.tBodies].map((body) => ({ body, rows: [...body.rows] }));
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const rising = !column || "distance" in heading.dataset; // the best first
      const steps = rising ? ["none", "ascending", "descending"] : ["none", "descending", "ascending"];
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
// Two rows by track: a point a track; names at the points farthest from the line of equal scores.
for (const figure of document.querySelectorAll(".pairs")) {
  const { metric, axis, tracks, rows, first } = JSON.parse(figure.querySelector("script").textContent);
  const [x, y] = [".x", ".y"].map((name) => figure.querySelector(name));
  for (const select of [x, y]) for (const label of Object.keys(rows)) select.add(new Option(label, label));
  [y.value, x.value] = first;
  const draw = () => drawPairs(figure, { metric, axis }, tracks, { x: x.value, y: y.value }, rows);
  for (const select of [x, y]) select.addEventListener("change", draw);
  figure.hidden = false;
  draw();
}
function drawPairs(figure, { metric, axis }, tracks, label, rows) {
  const points = tracks
    .map((track, i) => ({ track, x: rows[label.x][i], y: rows[label.y][i] }))
    .filter((point) => point.x !== null && point.y !== null);
  const values = points.length ? points.flatMap((point) => [point.x, point.y]) : [0];
  const [low, high] = [Math.floor(Math.min(...values)), Math.ceil(Math.max(...values))];
  const [size, margin] = [400, 48];
  const at = (value) => margin + ((value - low) / (high - low || 1)) * (size - margin - 12);
  const make = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  };
  const svg = make("svg", { viewBox: `0 0 ${size} ${size}`, role: "img" });
  const [left, right, top, foot] = [at(low), at(high), size - at(high), size - at(low)];
  svg.setAttribute("aria-label", `${metric} of each track: ${label.y} against ${label.x}`);
  const step = Math.max(1, Math.round((high - low) / 6));
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
    const text = String(tick).replace("-", "\u2212");
    svg.append(make("line", { x1: at(tick), x2: at(tick), y1: top, y2: foot }));
    svg.append(make("line", { x1: left, x2: right, y1: size - at(tick), y2: size - at(tick) }));
    svg.append(make("text", { x: at(tick), y: foot + 16, "text-anchor": "middle" }, text));
    svg.append(make("text", { x: left - 6, y: size - at(tick) + 4, "text-anchor": "end" }, text));
  }
  svg.append(make("line", { class: "equal", x1: at(low), y1: size - at(low), x2: at(high), y2: size - at(high) }));
  svg.append(make("text", { x: size / 2, y: size - 8, "text-anchor": "middle" }, `${label.x}: ${axis}`));
  svg.append(make("text", { x: 14, y: size / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${size / 2})` }, `${label.y}: ${axis}`));
  const farthest = [...points].sort((a, b) => Math.abs(b.y - b.x) - Math.abs(a.y - a.x)).slice(0, 3);
  for (const point of points) {
    const circle = make("circle", { cx: at(point.x), cy: size - at(point.y), r: 3.5 });
    circle.append(make("title", {}, `${point.track}: ${point.x} across, ${point.y} up`));
    svg.append(circle);
  }
  for (const point of farthest) {
    const isLeft = at(point.x) < size / 2;
    const place = { class: "name", x: at(point.x) + (isLeft ? 7 : -7), y: size - at(point.y) + 4 };
    place["text-anchor"] = isLeft ? "start" : "end";
    svg.append(make("text", place, point.track));
  }
  figure.querySelector(".plot").replaceChildren(svg);
  const above = points.filter((point) => point.y > point.x).length;
  figure.querySelector("figcaption").textContent =
    `${metric} by track, a point a track, named where the two rows differ most. ${label.y} is above ${label.x} on ` +
    `${above} of ${points.length} tracks.` +
    (points.length < tracks.length ? ` ${tracks.length - points.length} are undefined or infinite and not drawn.` : "");
}
// Print shows what is folded away.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
