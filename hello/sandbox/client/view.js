// How is content put on the page safely?

/**
 * Make an element. Attributes that start with "on" are listeners; a child that is not a node
 * becomes text, so nothing from a server or a token is ever read as HTML.
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null));
  return element;
}

export function button(label, onclick, kind = "") {
  return el("button", { type: "button", class: kind || null, onclick }, label);
}

/** Words that tell apart things which look the same. Only people who do not see the page need them. */
export function unseen(text) {
  return el("span", { class: "unseen" }, ` (${text})`);
}

/**
 * A button that copies a text, which is of use only to the person. `which` tells it apart from others
 * with this label, or is null.
 */
export function copyButton(label, text, which = null) {
  // Both labels are in the same place, so that the button keeps its size.
  const before = el("span", {}, label);
  const after = el("span", { hidden: true }, "Copied");
  const copy = button([before, after, which && unseen(which)], async () => {
    const copied = await navigator.clipboard.writeText(text).then(
      () => "Copied",
      () => "Not allowed",
    );
    after.textContent = copied;
    before.hidden = true;
    after.hidden = false;
    announce(copied);
  });
  copy.classList.add("copy");
  return copy;
}

/** The three parts of a JWT, too short to be of use to anybody. */
export function jwtParts(jwt) {
  const [header, payload, signature] = jwt.split(".").map((part) => `${part.slice(0, 12)}…`);
  return el(
    "pre",
    { class: "parts" },
    el("span", { class: "part-header" }, header),
    ".",
    el("span", { class: "part-payload" }, payload),
    ".",
    el("span", { class: "part-signature" }, signature),
  );
}

/** A line to show while something loads. */
export function waiting(text) {
  return el("p", { class: "waiting" }, text);
}

/** Something to know that is no failure. */
export function notice(message, explanation) {
  announce(message);
  return el("div", { class: "notice" }, el("p", {}, message), el("p", {}, explanation));
}

/** A failure, which screen readers announce. */
export function alert(message, explanation, ...more) {
  return el(
    "div",
    { role: "alert", class: "alert" },
    el("p", { class: "headline" }, message),
    explanation ? el("p", {}, explanation) : null,
    more.filter(Boolean),
  );
}

export function disclosure(summary, open, ...children) {
  return el(
    "details",
    { open },
    el("summary", {}, summary),
    el("div", { class: "inside" }, children),
  );
}

/**
 * A table of [name, value, what it is for]. Tables have these roles anyway, but on a narrow screen
 * the rows are laid out as blocks, and some browsers then drop the roles.
 */
export function table(caption, columns, rows) {
  return el(
    "table",
    { role: "table" },
    el("caption", {}, caption),
    el(
      "thead",
      { role: "rowgroup" },
      el(
        "tr",
        { role: "row" },
        columns.map((column) => el("th", { role: "columnheader", scope: "col" }, column)),
      ),
    ),
    el(
      "tbody",
      { role: "rowgroup" },
      rows.map(([name, value, purpose]) =>
        el(
          "tr",
          { role: "row" },
          el("th", { role: "rowheader", scope: "row" }, el("code", {}, name)),
          el("td", { role: "cell", class: "value" }, value),
          el("td", { role: "cell", class: "purpose" }, purpose),
        ),
      ),
    ),
  );
}

/** Replace the content of an element. What a person has opened or closed there stays so. */
export function replaceKeepingOpen(place, children) {
  const name = (details) => details.querySelector("summary").textContent;
  const before = new Map([...place.querySelectorAll("details")].map((one) => [name(one), one.open]));
  place.replaceChildren(...children.filter((child) => child !== null));
  for (const one of place.querySelectorAll("details")) one.open = before.get(name(one)) ?? one.open;
}

/** Announce a text to screen readers, without moving the focus. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}
