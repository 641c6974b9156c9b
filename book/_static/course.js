// What the pages remember, in this browser and nowhere else.
//
// Predictions: a question takes an answer, which stays in this browser, and then shows what happens.
// Without this script, the question is followed by a fold, as in print.
(() => {
  const page = location.pathname.split("/").pop();
  const kept = {
    get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } },
  };
  const make = (name, parts = {}) => Object.assign(document.createElement(name), parts);

  function asked(box, number) {
    const key = `prediction:${page}:${number}`;
    const reveal = box.parentElement.querySelector(`details.reveal[data-of="${number}"]`);
    const form = make("form");
    const list = box.querySelector(":scope > ul");
    if (list) {
      const choices = make("fieldset", { className: "choices" });
      choices.append(make("legend", { className: "sr-only", textContent: "Your prediction" }));
      for (const item of list.children) {
        const label = make("label");
        label.append(make("input", { type: "radio", name: "answer", required: true, value: item.textContent.trim() }), " ", ...item.childNodes);
        choices.append(label);
      }
      list.replaceWith(choices);
      box.append(form);
      form.append(choices);
    } else {
      const type = box.classList.contains("number") ? "number" : "text";
      const field = make("input", { type, name: "answer", required: true, autocomplete: "off", maxLength: 200 });
      if (type === "number") field.step = "any";
      field.setAttribute("aria-label", "Your prediction");
      field.placeholder = type === "number" ? "a number" : "your prediction, in a few words";
      form.append(field);
      box.append(form);
    }
    form.append(make("button", { type: "submit", textContent: "Keep it and run" }));
    const said = make("p", { className: "kept" });
    said.setAttribute("role", "status");
    box.append(said);
    const show = (answer) => { said.textContent = answer ? `You predicted: ${answer}` : ""; };
    show(kept.get(key));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const answer = new FormData(form).get("answer");
      kept.set(key, answer);
      show(answer);
      if (reveal) { reveal.open = true; reveal.querySelector("summary").focus(); }
    });
  }

  // What is solved, in the reader's own word: ticked on the card, counted on the map.
  function tickable(card) {
    const key = `solved:${card.querySelector(".admonition.exercise").id}`;
    const label = make("label", { className: "solved" });
    const box = make("input", { type: "checkbox", checked: kept.get(key) === "yes" });
    box.addEventListener("change", () => kept.set(key, box.checked ? "yes" : ""));
    label.append(box, " I have solved this (kept in this browser)");
    card.append(label);
  }

  function counted(stop) {
    const all = stop.dataset.exercises.split(" ").filter(Boolean);
    const solved = all.filter((id) => kept.get(`solved:${id}`) === "yes").length;
    if (solved) stop.append(make("span", { className: "solved", textContent: `${solved} of ${all.length} solved` }));
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".admonition.predict").forEach(asked);
    document.querySelectorAll("section.exercise-card").forEach(tickable);
    document.querySelectorAll(".course-map li[data-exercises]").forEach(counted);
  });
})();
