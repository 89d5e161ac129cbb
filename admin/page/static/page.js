// The session, the stream of events, and what the operator does.

import { counted } from "./format.js";
import { showGroups, showVitals } from "./show.js";

const $ = (id) => document.getElementById(id);

const open = document.documentElement.dataset.access === "open"; // a socket that is the operator's own asks for nothing
const silence = 10_000; // ms without an event after which the stream is given up
const retries = [500, 1000, 2000, 5000]; // ms between tries, the last one for ever
const key = "session";

let signedIn = () => {};

// headers carry the session. It is in no cookie: those go to each port of a machine, and come with what other pages ask for.
function headers() {
  const session = sessionStorage.getItem(key);
  return session ? { "Authorization": "Bearer " + session } : {};
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers() },
    body: JSON.stringify(body),
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const failure = new Error(said.error ?? "the server answered with " + answer.status);
  failure.status = answer.status;
  throw failure;
}

// enter makes a session of the token or of the code of a link.
async function enter(proof) {
  $("refused").textContent = "";
  try {
    const answer = await (await post("/page/session", proof)).json();
    sessionStorage.setItem(key, answer.session);
    $("token").value = "";
    signedIn();
  } catch (failure) {
    $("refused").textContent = failure.message;
  }
}

// useLink takes the code out of the address, so that it is in no history.
async function useLink() {
  const code = new URLSearchParams(location.hash.slice(1)).get("once");
  if (!code) return;
  history.replaceState(null, "", location.pathname);
  await enter({ once: code });
}

// askForSession waits until there is one.
function askForSession() {
  sessionStorage.removeItem(key);
  show("entry");
  return new Promise((resolve) => { signedIn = resolve; });
}

function show(what) {
  for (const id of ["entry", "overview"]) $(id).hidden = id !== what;
  $("foot").hidden = $("drain").hidden = what !== "overview";
  if (what === "entry") {
    $("state").textContent = "not signed in";
    $("state").className = "badge";
    $("version").textContent = "";
    $("checks").hidden = true;
    $("ask").close();
  }
}

function trouble(what) {
  $("trouble").textContent = what;
  $("trouble").hidden = !what;
  document.body.classList.toggle("stale", Boolean(what));
}

const handlers = {
  vitals: (data) => { trouble(""); show("overview"); showVitals(data); },
  groups: (data) => showGroups(data, askToDrop),
};

// handle takes one event off the stream: lines "event: NAME" and "data: JSON".
function handle(text) {
  const event = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf(": ");
    if (at > 0) event[line.slice(0, at)] = line.slice(at + 2);
  }
  handlers[event.event]?.(JSON.parse(event.data));
}

// follow shows events until the stream ends. It returns the status of the answer.
async function follow(onEvent) {
  const control = new AbortController();
  let watchdog = setTimeout(() => control.abort(), silence);
  try {
    const answer = await fetch("/page/events", { headers: headers(), cache: "no-store", signal: control.signal });
    if (!answer.ok) return answer.status;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return answer.status;
      clearTimeout(watchdog);
      watchdog = setTimeout(() => control.abort(), silence);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      events.forEach(handle);
      if (events.length) onEvent();
    }
  } catch {
    return 0;
  } finally {
    clearTimeout(watchdog);
    control.abort();
  }
}

async function watch() {
  await useLink();
  for (let tries = 0; ;) {
    if (!open && !sessionStorage.getItem(key)) await askForSession();
    const status = await follow(() => { tries = 0; });
    if (status === 401) {
      await askForSession();
      continue;
    }
    trouble(status === 503 ? "Too many pages watch this server. Close one of them."
      : "No connection to the server. Trying again; what is shown is old.");
    await new Promise((resolve) => setTimeout(resolve, retries[Math.min(tries++, retries.length - 1)]));
  }
}

// ask has something confirmed, and does it.
function ask(title, text, yes, act) {
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-failed").textContent = "";
  $("ask-yes").textContent = yes;
  $("ask-yes").disabled = false;
  $("ask-yes").onclick = async () => {
    $("ask-yes").disabled = true;
    try {
      await act();
      $("ask").close();
    } catch (failure) {
      $("ask-failed").textContent = failure.message;
      $("ask-yes").disabled = false;
    }
  };
  $("ask").showModal();
}

function askToDrop(group, device, slot) {
  const lost = device.messages ? counted(device.messages, "message") + " that " + (device.messages === 1 ? "waits" : "wait") + " for it will be lost. " : "";
  ask(`Drop slot ${slot} of group ${group.name}?`,
    `The device is closed with 4113 if it is connected. ${lost}Its app may delete what it has of the other devices, and has to be linked anew by its user.`,
    "Drop the device",
    () => post("/page/drop", { group: group.name, device: device.name }));
}

$("drain").onclick = () => ask("Drain the server?",
  "It takes no new connections, asks its devices to go, a few at a time, and then ends. What starts it has to start it again.",
  "Drain the server", () => post("/page/drain", {}));
$("ask-no").onclick = () => $("ask").close();
$("sign-in").onsubmit = (event) => {
  event.preventDefault();
  enter({ token: $("token").value.trim() });
};
addEventListener("hashchange", useLink);
watch();
