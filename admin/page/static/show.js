// What the server tells is put into the page here, as text and never as HTML.

import { bytes, clock, count, counted, day, duration, rate } from "./format.js";

const $ = (id) => document.getElementById(id);

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function make(tag, className, value = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = value;
  return element;
}

// keyed makes the children of a parent those of a list, one for each item, and keeps the elements of items that stay: so
// the keyboard's focus stays where it is.
function keyed(parent, items, key, build, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const kept = new Set(items.map(key));
  for (const [name, child] of old) if (!kept.has(name)) child.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    let child = old.get(key(item));
    if (!child) {
      child = build(item);
      child.dataset.key = key(item);
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
}

const stateLooks = { "ready": "good", "not ready": "bad", "draining": "warn" };

export function showVitals(v) {
  const now = new Date(v.at);
  text($("state"), v.state);
  $("state").className = "badge " + (stateLooks[v.state] ?? "warn");
  document.title = v.state + " · Mediator";
  text($("version"), v.version + " · up for " + duration(now - new Date(v.started)));
  const wrong = v.checks.filter((check) => !check.ok);
  $("checks").hidden = wrong.length === 0;
  $("checks").className = v.state === "not ready" ? "banner alarm" : "banner";
  keyed($("checks"), wrong, (check) => check.name, () => make("li", ""), (li, check) => text(li, check.name + ": " + check.text));

  text($("connections"), count(v.connections));
  text($("connections-note"), counted(v.logged_in, "device") + " logged in");
  showRates(v.rates);
  text($("transactions"), count(v.transactions));
  text($("chat"), count(v.chat_sessions));
  $("closes-none").hidden = v.closes.length > 0;
  keyed($("closes"), v.closes, (close) => String(close.code), buildClose, updateClose);
  showCertificates(v.certificates, now);
  showStore(v.store_used, v.store_limit);
}

function showRates(rates) {
  const recent = rates.slice(-5), highest = Math.max(0, ...rates);
  text($("rate"), rate(recent.reduce((sum, n) => sum + n, 0) / Math.max(1, recent.length)));
  const said = "last " + duration(1000 * rates.length) + ", at most " + count(highest) + " in a second";
  text($("rate-note"), said);
  const svg = $("spark"), width = Math.max(30, rates.length) - 1, height = 40;
  svg.setAttribute("viewBox", "0 0 " + width + " " + height);
  svg.setAttribute("aria-label", "Messages per second of the " + said);
  if (!svg.firstChild) {
    for (const name of ["area", "line"]) {
      const shape = document.createElementNS("http://www.w3.org/2000/svg", name === "area" ? "polygon" : "polyline");
      shape.setAttribute("class", name);
      svg.append(shape);
    }
  }
  const left = width - rates.length + 1;
  const points = rates.map((n, i) => (left + i) + "," + (height - 1 - (highest ? n / highest * (height - 4) : 0)).toFixed(1));
  svg.children[1].setAttribute("points", points.join(" "));
  svg.children[0].setAttribute("points", points.length ? [left + "," + height, ...points, width + "," + height].join(" ") : "");
}

function buildClose(close) {
  const li = make("li", close.look ? "close look" : "close");
  li.append(make("strong", "code", String(close.code)), make("span", "times"), make("span", "meaning", close.meaning),
    make("span", "advice", close.advice));
  return li;
}

function updateClose(li, close) {
  text(li.children[1], counted(close.count, "time"));
}

function showCertificates(certificates, now) {
  const ends = certificates.map((c) => new Date(c.until)).sort((a, b) => a - b)[0];
  if (!ends) {
    text($("certificate"), "none");
    text($("certificate-note"), "This server does no TLS itself.");
    return;
  }
  const days = Math.floor((ends - now) / 86400000);
  text($("certificate"), days < 0 ? "expired" : counted(days, "day"));
  $("certificate").className = "figure" + (days < 7 ? " bad" : days < 21 ? " warn" : "");
  const names = certificates.map((c) => c.name).slice(0, 5).join(", ");
  text($("certificate-note"), names + " · until " + day(ends));
}

function showStore(used, limit) {
  const share = limit > 0 ? used / limit * 100 : 0;
  text($("store"), bytes(used));
  $("store-bar").hidden = limit === 0;
  $("store-bar").value = Math.min(100, share);
  $("store-bar").className = share >= 87.5 ? "bad" : share >= 70 ? "warn" : "";
  text($("store-note"), limit > 0 ? (share < 0.1 ? "less than 0.1" : share.toFixed(1)) + " % of " + bytes(limit) : "no limit is known");
}

// showGroups shows what was found when all groups were looked at; drop is called with a group, a device and its place.
export function showGroups(g, drop) {
  const now = new Date(g.at);
  text($("waiting"), count(g.messages));
  text($("waiting-note"), g.messages ? bytes(g.bytes) + ", the oldest for " + duration(now - new Date(g.oldest)) : "nothing waits");
  let note = g.failed ? "Not all groups could be looked at: " + g.failed
    : counted(g.count, "group") + " with " + counted(g.devices, "device") + ", " + count(g.connected) + " connected, at " + clock(now);
  if (g.groups.length < g.count) note += ". Shown are the " + count(g.groups.length) + " in which most waits";
  text($("groups-note"), note + ".");
  keyed($("groups"), g.groups, (group) => group.name, buildGroup, (article, group) => updateGroup(article, group, now, drop));
}

function buildGroup(group) {
  const article = make("article", "tile group");
  const head = make("div", "head");
  head.append(make("h3", "name", group.name), make("span", "note"), make("span", "mark lock", "transaction"));
  article.append(head, make("ul", "rows"));
  article.setAttribute("aria-label", "Group " + group.name);
  return article;
}

function updateGroup(article, group, now, drop) {
  const [head, list] = article.children;
  const connected = group.devices.filter((device) => device.connected).length;
  text(head.children[1], connected + " of " + group.devices.length + " connected" + waiting(group, now));
  head.children[2].hidden = !group.locked;
  const places = group.devices.map((device, i) => ({ group, device, slot: i + 1 }));
  keyed(list, places, (place) => place.device.name, buildDevice, (li, place) => updateDevice(li, place, now, drop));
}

function waiting(what, now) {
  if (!what.messages) return "";
  return " · " + count(what.messages) + " waiting, " + bytes(what.bytes) + (what.oldest ? ", oldest " + duration(now - new Date(what.oldest)) : "");
}

function buildDevice() {
  const li = make("li", "device");
  const button = make("button", "small", "Drop…");
  button.type = "button";
  const slot = make("span", "slot");
  slot.append(make("strong", ""), make("span", "mark leader", "leader"));
  li.append(slot, make("span", "presence"), make("span", "queue"), button);
  return li;
}

function updateDevice(li, place, now, drop) {
  const { group, device, slot } = place;
  const [name, presence, queue, button] = li.children;
  text(name.firstChild, "Slot " + slot);
  name.lastChild.hidden = !device.leads;
  presence.className = "presence " + (device.connected ? "on" : "off");
  text(presence, (device.connected ? "connected " : "away ") + duration(now - new Date(device.since)));
  text(queue, device.messages ? waiting(device, now).slice(3) : "nothing waiting");
  queue.className = device.messages ? "queue" : "queue none";
  button.setAttribute("aria-label", "Drop slot " + slot + " of group " + group.name);
  button.onclick = () => drop(group, device, slot);
}
