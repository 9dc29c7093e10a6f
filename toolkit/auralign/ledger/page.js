/* The list of answers: filters and pages. Answers are data: they are set as text, never as markup. */
"use strict";
(() => {
  const PER_PAGE = 25;
  const data = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  const count = document.getElementById("count");
  const pages = [...document.querySelectorAll("nav.pages")];
  const found = new Map(); // row -> its text in lower case, made when it is first searched
  let rows = data.rows;
  let page = 0;

  function make(name, text, options = {}) {
    const element = document.createElement(name);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const [key, value] of Object.entries(options)) element.setAttribute(key, value);
    return element;
  }

  const utterance = (row) => data.utterances[row.utterance];
  const attributes = (row) => Object.entries(utterance(row).attributes).map(([name, value]) => `${name}: ${value}`);
  const distinct = (values) => [...new Set(values)].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));

  function fill(name, all, values) {
    const select = form.elements[name];
    const real = values.filter((value) => value !== "");
    select.append(new Option(all, ""));
    real.forEach((value, at) => select.append(new Option(value, name === "method" ? String(at) : value)));
    select.parentElement.hidden = real.length < 2;
  }

  fill("method", "all", data.methods);
  fill("class", "all", ["any wrong", ...data.classes]);
  fill("group", "all", distinct(data.rows.map((row) => row.group)));
  fill("task", "all", distinct(data.rows.map((row) => row.task)));
  fill("speaker", "all", distinct(data.utterances.map((one) => one.speaker)));
  fill("attribute", "all", distinct(data.rows.flatMap(attributes)));

  function searched(row) {
    if (!found.has(row)) {
      const one = utterance(row);
      const heard = row.heard.flatMap((side) => [side.speech, side.floor]);
      const parts = [one.id, one.said, one.speaker, data.instructions[row.instruction], row.expected, ...row.read, ...heard];
      found.set(row, parts.join("\n").toLowerCase());
    }
    return found.get(row);
  }

  const shownMethods = () => {
    const chosen = form.elements.method.value;
    return chosen === "" ? data.methods.map((_, at) => at) : [Number(chosen)];
  };

  function matches(row, wanted, methods) {
    const classes = methods.map((at) => row.heard[at].class);
    return (
      (!wanted.class || classes.some((name) => (wanted.class === "any wrong" ? name !== "right" : name === wanted.class))) &&
      (!wanted.group || row.group === wanted.group) &&
      (!wanted.task || row.task === wanted.task) &&
      (!wanted.speaker || utterance(row).speaker === wanted.speaker) &&
      (!wanted.attribute || attributes(row).includes(wanted.attribute)) &&
      (!wanted.text || searched(row).includes(wanted.text))
    );
  }

  function side(heading, answer, score, name) {
    const box = make("div", null, { class: "side" });
    box.append(make("h4", heading));
    box.append(answer === "" ? make("p", "(empty)", { class: "about" }) : make("p", answer, { dir: "auto" }));
    const worth = make("p", null, { class: "about" });
    if (name) worth.append(make("span", name, { class: name === "right" ? "right" : "wrong" }), ", ");
    worth.append(`score ${score.toFixed(2)}`);
    box.append(worth);
    return box;
  }

  function player(one) {
    if (!one.audio) return [make("p", one.note, { class: "about" })];
    const audio = make("audio", null, { controls: "", preload: "none", src: one.audio, "aria-label": `Speech of ${one.id}` });
    const note = make("p", one.note, { class: "about" });
    audio.addEventListener("error", () => {
      note.textContent = "This browser cannot play the file: it was moved, or its format is unknown here. ";
      note.append(make("a", "Open the file", { href: one.audio }));
    });
    return [audio, note];
  }

  function show(row, methods) {
    const one = utterance(row);
    const item = make("li");
    item.append(make("h3", one.id, { dir: "auto" }));
    const about = [row.group, row.task, one.speaker && `speaker ${one.speaker}`, `${one.seconds.toFixed(1)} s`];
    item.append(make("p", [...about, ...attributes(row)].filter(Boolean).join(" · "), { class: "about", dir: "auto" }));
    item.append(...player(one));
    for (const [name, text] of [
      ["Said", one.said],
      ["Asked", data.instructions[row.instruction] ?? "(nothing: the speech alone)"],
      ["Expected", row.expected],
    ]) {
      const line = make("p", null, { class: "said" });
      line.append(make("strong", `${name}: `), make("bdi", text, { dir: "auto" }));
      item.append(line);
    }
    const sides = make("div", null, { class: "sides" });
    data.kinds.forEach((kind, at) => sides.append(side(kind, row.read[at], row.scores[at])));
    for (const at of methods) {
      const heard = row.heard[at];
      const box = side(`speech: ${data.methods[at]}`, heard.speech, heard.score, heard.class);
      const floor = make("details");
      floor.append(make("summary", "Another utterance's speech"), make("p", heard.floor || "(empty)", { dir: "auto" }));
      box.append(floor);
      sides.append(box);
    }
    item.append(sides);
    return item;
  }

  function turn(to) {
    const last = Math.max(0, Math.ceil(rows.length / PER_PAGE) - 1);
    page = Math.min(Math.max(0, to), last);
    const methods = shownMethods();
    list.replaceChildren(...rows.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map((row) => show(row, methods)));
    list.setAttribute("start", String(page * PER_PAGE + 1));
    count.textContent = `${rows.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} questions match.`;
    for (const nav of pages) {
      nav.hidden = last === 0;
      const [first, before, place, after, end] = nav.children;
      place.textContent = `Page ${page + 1} of ${last + 1}`;
      first.disabled = before.disabled = page === 0;
      after.disabled = end.disabled = page === last;
    }
  }

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    wanted.text = wanted.text.trim().toLowerCase();
    const methods = shownMethods();
    rows = data.rows.filter((row) => matches(row, wanted, methods));
    turn(0);
  }

  for (const nav of pages) {
    const last = () => Math.ceil(rows.length / PER_PAGE) - 1;
    const jumps = [["First", () => 0], ["Previous", () => page - 1], null, ["Next", () => page + 1], ["Last", last]];
    for (const jump of jumps) {
      if (!jump) {
        nav.append(make("span"));
        continue;
      }
      const button = make("button", jump[0], { type: "button" });
      button.addEventListener("click", () => {
        turn(jump[1]());
        count.scrollIntoView();
      });
      nav.append(button);
    }
  }
  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 150);
  });
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  turn(0);
})();
