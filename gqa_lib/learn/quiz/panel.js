// The questions as native radio buttons: a fieldset each, one tab stop, arrow keys to choose.
const LETTERS = "ABCD";
const PATIENCE_MS = 4000;
let views = 0;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// `code` between backticks; everything else is text.
function words(text) {
  return text.split("`").map((part, place) => (place % 2 ? element("code", {}, part) : part));
}

function option(question, letter, text, group, choose) {
  const input = element("input", {
    type: "radio",
    name: group,
    value: letter,
    "data-lm-suppress-shortcuts": "true", // else JupyterLab takes the arrow keys
  });
  input.addEventListener("change", () => choose(question.id, letter));
  const label = element("label", {}, input, element("b", {}, letter), element("span", {}, ...words(text)));
  return [label, input];
}

function render({ model, el }) {
  const view = ++views;
  const inputs = new Map();
  const marks = new Map(); // beside a question: whether its last choice is saved
  const told = new Map(); // below a question: what is said of the answer
  const unsaved = new Set();
  const status = element("div", { role: "status", class: "gqa-quiz-status" });
  let waiting;

  function choose(id, letter) {
    model.set("chosen", { ...model.get("chosen"), [id]: letter });
    model.save_changes();
    unsaved.add(id);
    clearTimeout(waiting);
    waiting = setTimeout(showDelay, PATIENCE_MS);
  }

  function showDelay() {
    for (const id of unsaved) marks.get(id).textContent = "not saved yet";
    status.textContent =
      "Not saved yet: the kernel is busy, or stopped. If this stays, run the cell again.";
  }

  function showStatus() {
    const text = model.get("status");
    const kept = model.get("kept");
    const failed = !text.startsWith("Saved");
    for (const id of unsaved) {
      // else a later choice is still on its way
      if (failed || kept[id] === model.get("chosen")[id]) {
        marks.get(id).textContent = failed ? "not saved" : "saved";
        unsaved.delete(id);
      }
    }
    if (unsaved.size) return;
    clearTimeout(waiting);
    status.textContent = text;
  }

  function showTold() {
    for (const [id, text] of Object.entries(model.get("told"))) {
      told.get(id)?.replaceChildren(...words(text));
    }
  }

  function showChosen() {
    for (const [id, letter] of Object.entries(model.get("chosen"))) {
      const input = inputs.get(`${id} ${letter}`);
      if (input) input.checked = true;
    }
  }

  const panel = element("section", { class: "gqa-quiz", "aria-label": model.get("label") });
  panel.append(element("p", { class: "gqa-quiz-heading" }, model.get("heading")));
  model.get("questions").forEach((question, place) => {
    const legend = element(
      "legend", {},
      element("b", {}, `${place + 1}. `), ...words(question.stem), " ",
      element("span", { class: "gqa-quiz-id" }, question.id),
    );
    const mark = element("div", { class: "gqa-quiz-mark", "aria-hidden": "true" }); // the status says it
    marks.set(question.id, mark);
    const group = element("fieldset", {}, legend);
    question.options.forEach((text, at) => {
      const [label, input] = option(question, LETTERS[at], text, `gqa-${view}-${question.id}`, choose);
      inputs.set(`${question.id} ${LETTERS[at]}`, input);
      group.append(label);
    });
    told.set(question.id, element("p", { class: "gqa-quiz-told", "aria-live": "polite" }));
    group.append(told.get(question.id), mark);
    panel.append(group);
  });
  panel.append(status);
  el.append(panel);

  showChosen();
  showStatus();
  showTold();
  // Running its cell selects the one below, and with that shows the last question: begin at the first.
  requestAnimationFrame(() => {
    const below = el.closest(".jp-Cell")?.nextElementSibling;
    if (!below?.classList.contains("jp-mod-active")) return; // all cells were run, say
    if (panel.offsetHeight > 0.6 * window.innerHeight) {
      setTimeout(() => panel.scrollIntoView({ block: "start" }), 150);
    }
  });
  model.on("change:chosen", showChosen);
  model.on("change:told", showTold);
  model.on("change:status change:saves", showStatus);
  return () => {
    clearTimeout(waiting);
    model.off("change:chosen", showChosen);
    model.off("change:told", showTold);
    model.off("change:status change:saves", showStatus);
  };
}

export default { render };
