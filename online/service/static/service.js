// Explanations and feedback on a member's page. Without it the page still shows everything but the explanations.
"use strict";

const shown = JSON.parse(document.getElementById("shown").textContent);
const dialog = document.getElementById("why");
const status = document.getElementById("why-status");
let open = null;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawFact(fact) {
  const box = element("div");
  const value = element("dd");
  if (fact.share !== null) {
    const bar = element("i", undefined, fact.share < 0 ? "short below" : "short");
    bar.style.width = `${Math.min(1, Math.abs(fact.share)) * 100}%`;
    const frame = element("span", undefined, "bar-box");
    frame.append(bar);
    value.append(frame);
  }
  value.append(element("span", fact.value, "value"));
  box.append(element("dt", fact.label), value);
  return box;
}

function drawSection(section) {
  const box = element("section");
  const facts = element("dl", undefined, "facts");
  facts.append(...section.facts.map(drawFact));
  box.append(element("h3", section.heading), facts);
  return box;
}

function kindsOf(titleId) {
  return (shown.feedback[titleId] ??= []);
}

function press() {
  const kinds = kindsOf(open.title_id);
  for (const button of dialog.querySelectorAll("[data-kind]")) {
    button.setAttribute("aria-pressed", String(kinds.includes(button.dataset.kind)));
  }
}

function explain(key) {
  open = shown.cells[key];
  document.getElementById("why-evidence").textContent = open.why;
  document.getElementById("why-name").textContent = open.name;
  document.getElementById("why-line").textContent = open.line;
  document.getElementById("why-sections").replaceChildren(...open.sections.map(drawSection));
  status.textContent = "";
  press();
  dialog.showModal();
}

// What a press asks for: the list's button takes a title off again, a thumb is turned by the other one.
function asked(kind, kinds) {
  return kind === "list_add" && kinds.includes(kind) ? "list_remove" : kind;
}

async function send(kind, cell) {
  status.className = "";
  status.textContent = "Sending …";
  const body = JSON.stringify({ member_id: shown.member_id, title_id: cell.title_id, kind });
  try {
    const reply = await fetch("/feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const said = await reply.json();
    if (!reply.ok) throw new Error(said.error.message);
  } catch (error) {
    status.className = "failed";
    status.textContent = `Not taken: ${error.message}`;
    return;
  }
  const against = { thumbs_up: "thumbs_down", thumbs_down: "thumbs_up", list_remove: "list_add" }[kind];
  const kinds = kindsOf(cell.title_id).filter((one) => one !== against && one !== kind);
  shown.feedback[cell.title_id] = kind === "list_remove" ? kinds : [...kinds, kind];
  if (cell !== open) return;
  press();
  const again = element("a", "Refresh the page");
  again.href = document.getElementById("refresh").href;
  const words = { thumbs_up: "Thumbs up taken", thumbs_down: "Thumbs down taken", list_add: "Added to My List", list_remove: "Taken off My List" };
  status.replaceChildren(`${words[kind]}. The workers fold it in within moments. `, again);
}

// Each row is one stop of the Tab key; the arrow keys go on from there.
function rove(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!step) return;
  const row = rows.findIndex((cards) => cards.includes(event.target));
  const rank = rows[row].indexOf(event.target);
  const cards = rows[row + step[0]];
  const next = cards && cards[step[0] ? Math.min(rank, cards.length - 1) : rank + step[1]];
  if (!next) return;
  event.preventDefault();
  for (const card of cards) card.tabIndex = card === next ? 0 : -1;
  next.focus();
}

const rows = [...document.querySelectorAll(".shelf")].map((shelf) => [...shelf.querySelectorAll(".open")]);
for (const cards of rows) {
  cards.forEach((card, rank) => {
    card.tabIndex = rank === 0 ? 0 : -1;
    card.addEventListener("keydown", rove);
  });
}
for (const button of document.querySelectorAll("[data-cell]")) {
  button.addEventListener("click", () => explain(button.dataset.cell));
}
for (const button of dialog.querySelectorAll("[data-kind]")) {
  button.addEventListener("click", () => send(asked(button.dataset.kind, kindsOf(open.title_id)), open));
}
// A click beside the dialog closes it, as the Escape key does.
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
for (const select of document.querySelectorAll(".viewing select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
document.querySelector(".viewing button").hidden = true; // a choice is followed at once
