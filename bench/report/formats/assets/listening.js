"use strict";
// A trial plays all of its signals at once, in a loop, and lets one of them be heard: a change of
// signal is a change of gains, so that it goes on where the last one was, without a gap.
const { experiment, test, trials } = JSON.parse(document.getElementById("test").textContent);
const get = (id) => document.getElementById(id);
const FADE_S = 0.01;
const VERSION = 1;
const letters = "ABCDEFGHIJKLMNOPQSTUVWXYZ"; // R is the reference's

const shuffled = (list) => {
  const mixed = [...list];
  for (let i = mixed.length - 1; i > 0; i -= 1) {
    const bound = Math.floor(2 ** 32 / (i + 1)) * (i + 1); // no order is likelier than another
    let drawn;
    do [drawn] = crypto.getRandomValues(new Uint32Array(1)); while (drawn >= bound);
    [mixed[i], mixed[drawn % (i + 1)]] = [mixed[drawn % (i + 1)], mixed[i]];
  }
  return mixed;
};
const fresh = () => ({
  listener: "",
  place: 0,
  trials: shuffled(trials).map((trial) => ({
    trial: trial.id, order: shuffled(trial.stimuli.map((one) => one.name)), ratings: {}, seconds: 0,
  })),
});
// What a listener answered is kept in the browser, so that a closed page loses nothing.
const place = (listener) => `listening-${test}-${listener}`;
const isOurs = (kept) => {
  const ids = (list) => [...list].sort().join();
  return ids(kept.trials.map((one) => one.trial)) === ids(trials.map((one) => one.id))
    && kept.trials.every((one) => ids(one.order) === ids(trials.find((each) => each.id === one.trial).stimuli.map((each) => each.name))
      && Object.values(one.ratings).every((rating) => Number.isInteger(rating)) && Number.isFinite(one.seconds))
    && Number.isInteger(kept.place) && kept.place >= 0 && kept.place <= trials.length;
};
const remembered = (listener) => {
  try {
    const kept = JSON.parse(localStorage.getItem(place(listener)));
    return kept && isOurs(kept) ? kept : null;
  } catch { return null; }
};
const remember = () => {
  try {
    localStorage.setItem(place(state.listener), JSON.stringify(state));
    localStorage.setItem(place(""), state.listener);
  } catch { /* the page works without */ }
};
let state = fresh();
let unsaved = false;
let audio = null; // the context, made by the first click
let trial = null; // what is loaded: buffers, gains, the bounds of the loop
let since = 0;

async function decoded(signal) {
  const bytes = Uint8Array.from(atob(signal.audio), (letter) => letter.charCodeAt(0));
  return { gain: signal.gain, buffer: await audio.decodeAudioData(bytes.buffer) };
}

async function open(index) {
  if (trial) stop();
  spend();
  trial = null; // keys do nothing until the next one is there
  state.place = index;
  remember();
  for (const id of ["start", "trial", "end"]) get(id).hidden = true;
  if (index >= state.trials.length) {
    get("end").hidden = false;
    get("end-title").focus();
    return;
  }
  const answered = state.trials[index];
  const { reference, stimuli } = trials.find((one) => one.id === answered.trial);
  const byName = Object.fromEntries(stimuli.map((one) => [one.name, one]));
  const signals = await Promise.all([reference, ...answered.order.map((name) => byName[name])].map(decoded));
  if (index !== state.place || trial) return; // another one was asked for meanwhile
  const duration = signals[0].buffer.duration;
  trial = { signals, duration, start: 0, end: duration, heard: 0, offset: 0, playing: false, answered };
  get("trial-title").textContent = `Track ${index + 1} of ${state.trials.length}`;
  for (const id of ["loop-start", "loop-end"]) get(id).max = duration.toFixed(2);
  get("signals").replaceChildren(card(0), words(), ...signals.slice(1).map((_, i) => card(i + 1)));
  get("back").disabled = index === 0;
  get("next").textContent = index + 1 < state.trials.length ? "Next track" : "To the end";
  get("trial").hidden = false;
  get("trial-title").focus();
  since = performance.now();
  loop(0, duration);
  hear(0);
  count();
}

const spend = () => {
  if (trial) trial.answered.seconds += Math.round((performance.now() - since) / 1000);
};

function card(i) {
  const box = document.createElement("div");
  box.className = "signal";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = i ? `Signal ${letters[i - 1]}` : "Reference";
  button.addEventListener("click", () => { hear(i); start(); });
  box.append(button);
  if (!i) return box;
  const name = trial.answered.order[i - 1];
  const slider = document.createElement("input");
  const number = document.createElement("output");
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 1 });
  slider.setAttribute("aria-label", `Rating of signal ${letters[i - 1]}`);
  const known = trial.answered.ratings[name];
  slider.value = known ?? 50;
  slider.classList.toggle("untouched", known === undefined);
  number.textContent = known ?? "–";
  const rate = () => {
    trial.answered.ratings[name] = Number(slider.value);
    slider.classList.remove("untouched");
    number.textContent = slider.value;
    unsaved = true;
    remember();
    count();
  };
  for (const kind of ["input", "click"]) slider.addEventListener(kind, rate);
  slider.addEventListener("focus", () => hear(i));
  box.append(slider, number);
  return box;
}

function words() {
  const line = document.createElement("div");
  line.className = "words";
  line.setAttribute("aria-hidden", "true");
  line.append(...["bad", "poor", "fair", "good", "excellent"].map((word) => Object.assign(document.createElement("span"), { textContent: word })));
  return line;
}

function count() {
  const given = Object.values(trial.answered.ratings);
  const left = trial.answered.order.length - given.length;
  const rated = given.includes(100) ? "all rated" : "all rated, none with 100, though one is the reference";
  get("next").disabled = left > 0;
  get("left").textContent = left ? `${left} signal${left > 1 ? "s" : ""} left to rate` : rated;
}

// Sound
const position = () => {
  if (!trial.playing) return trial.offset;
  const length = trial.end - trial.start;
  const gone = audio.currentTime - trial.began + trial.offset - trial.start;
  return trial.start + (((gone % length) + length) % length);
};

function start() {
  if (trial.playing) return;
  if (trial.offset < trial.start || trial.offset >= trial.end) trial.offset = trial.start;
  trial.voices = trial.signals.map(({ buffer, gain }, i) => {
    const source = new AudioBufferSourceNode(audio, { buffer, loop: true, loopStart: trial.start, loopEnd: trial.end });
    const volume = new GainNode(audio, { gain: i === trial.heard ? gain : 0 });
    source.connect(volume).connect(audio.destination);
    return { source, volume };
  });
  trial.began = audio.currentTime;
  trial.playing = true;
  for (const { source } of trial.voices) source.start(trial.began, trial.offset);
  audio.resume();
  show();
  follow();
}

function stop() {
  if (!trial.playing) return;
  trial.offset = position();
  trial.playing = false;
  for (const { source } of trial.voices) source.stop();
  show();
}

function hear(i) {
  trial.heard = i;
  if (trial.playing) {
    trial.voices.forEach(({ volume }, n) => {
      const gain = n === i ? trial.signals[n].gain : 0;
      volume.gain.setTargetAtTime(gain, audio.currentTime, FADE_S / 3);
    });
  }
  show();
}

function loop(from, to) {
  const on = trial.playing;
  stop();
  trial.start = Math.max(0, Math.min(from, trial.duration - 0.2));
  trial.end = Math.min(trial.duration, Math.max(to, trial.start + 0.2));
  get("loop-start").value = trial.start;
  get("loop-end").value = trial.end;
  get("region").style.left = `${(100 * trial.start) / trial.duration}%`;
  get("region").style.width = `${(100 * (trial.end - trial.start)) / trial.duration}%`;
  if (on) start(); else show();
}

function show() {
  get("play").textContent = trial.playing ? "Pause" : "Play";
  get("play").setAttribute("aria-pressed", String(trial.playing));
  const at = position();
  get("time").value = `${at.toFixed(1)} s`;
  get("head").style.left = `${(100 * at) / trial.duration}%`;
  [...get("signals").querySelectorAll(".signal")].forEach((box, i) => {
    box.classList.toggle("heard", i === trial.heard);
    box.querySelector("button").setAttribute("aria-pressed", String(i === trial.heard));
  });
}

function follow() {
  if (!trial || !trial.playing) return;
  const at = position();
  get("time").value = `${at.toFixed(1)} s`;
  get("head").style.left = `${(100 * at) / trial.duration}%`;
  requestAnimationFrame(follow);
}

// Controls
try { get("listener").value = localStorage.getItem(place("")) || ""; } catch { /* as above */ }
get("listener-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const listener = get("listener").value.trim();
  if (!listener) return;
  state = remembered(listener) || { ...fresh(), listener };
  audio = audio || new AudioContext();
  open(state.place);
});
get("play").addEventListener("click", () => (trial.playing ? stop() : start()));
get("whole").addEventListener("click", () => loop(0, trial.duration));
get("loop-start").addEventListener("input", (event) => loop(Math.min(Number(event.target.value), trial.end - 0.2), trial.end));
get("loop-end").addEventListener("input", (event) => loop(trial.start, Math.max(Number(event.target.value), trial.start + 0.2)));
get("next").addEventListener("click", () => trial && open(state.place + 1));
get("back").addEventListener("click", () => trial && open(state.place - 1));
get("again").addEventListener("click", () => open(state.trials.length - 1));
get("save").addEventListener("click", () => {
  const answers = { version: VERSION, test, listener: state.listener, saved: new Date().toISOString(), trials: state.trials };
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([JSON.stringify(answers, null, 1)], { type: "application/json" }));
  link.href = url;
  link.download = `${experiment}-${state.listener.replace(/[^\p{L}\p{N}]+/gu, "_")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
  unsaved = false;
  get("saved").textContent = `saved as ${link.download}`;
});
addEventListener("keydown", (event) => {
  if (!trial || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.closest("button")) return; // it presses the button
  const key = event.key.toUpperCase();
  const heard = letters.indexOf(key) + 1;
  if (key === "R") { hear(0); start(); }
  else if (key.length === 1 && heard > 0 && heard < trial.signals.length) { hear(heard); start(); }
  else if (event.key === " ") { if (trial.playing) stop(); else start(); }
  else if (event.key === "[") loop(position(), trial.end);
  else if (event.key === "]") loop(trial.start, position());
  else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && trial.heard && !event.target.closest(".line")) {
    const slider = get("signals").querySelectorAll(".signal input")[trial.heard - 1];
    const step = (event.shiftKey ? 10 : 1) * (event.key === "ArrowRight" ? 1 : -1);
    slider.value = Number(slider.value) + step;
    slider.dispatchEvent(new Event("input"));
  } else return;
  event.preventDefault();
});
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
