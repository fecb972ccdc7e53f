"use strict";
/* One question after the other; the answers become a file that the command line reads. */
(function () {
  const form = JSON.parse(document.getElementById("form").textContent);
  const questions = [...document.querySelectorAll(".question")];
  const done = document.getElementById("done");
  let now = 0;

  function show(place) {
    now = Math.min(Math.max(place, 0), questions.length);
    questions.forEach((question, number) => { question.hidden = number !== now; });
    done.hidden = now < questions.length;
    document.getElementById("back").disabled = now === 0;
    document.getElementById("later").hidden = now === questions.length;
    if (now === questions.length) finish();
  }

  function choose(button) {
    const question = button.closest(".question");
    form.answers[question.dataset.key] = button.dataset.choice;
    for (const one of question.querySelectorAll("button")) {
      one.setAttribute("aria-pressed", String(one === button));
    }
    show(now + 1);
  }

  function finish() {
    const count = Object.keys(form.answers).length;
    document.getElementById("told").textContent = count + " of " + questions.length + " answered.";
    form.by = document.getElementById("by").value;
    const text = JSON.stringify(form, null, 1) + "\n";
    document.getElementById("download").href = "data:application/json;charset=utf-8," + encodeURIComponent(text);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.choice !== undefined) choose(button);
    else if (button.id === "back") show(now - 1);
    else if (button.id === "later") show(questions.length);
  });
  document.getElementById("by").addEventListener("input", () => { if (now === questions.length) finish(); });
  document.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") show(now - 1);
    const shown = questions[now];
    const button = shown && shown.querySelectorAll("button")[Number(event.key) - 1];
    if (button) choose(button);
  });
  show(0);
})();
