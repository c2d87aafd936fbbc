// What went over the wire, as HTTP, and how is it sent from a terminal?

import { shortened } from "./token.js";
import { copyButton, disclosure, el } from "./view.js";

/** Return an exchange as HTTP. `seen` is what the API saw of it, or null if nobody knows. */
export function raw(exchange, seen, title = "Raw") {
  const { request, answer } = exchange;
  return disclosure(
    title,
    false,
    ...preflight(request, seen),
    el("h2", {}, "The request"),
    el("pre", { "data-testid": "raw-request" }, seen?.request ?? requestHead(request)),
    seen === null
      ? el("p", { class: "hint" }, "The browser adds more headers, which no page can see.")
      : null,
    ...(answer ? answered(answer, seen) : []),
    el("h2", {}, "The same in a terminal"),
    ...inTerminal(request, title),
  );
}

/** Return a request as a command. */
export function curl(url, headers) {
  const lines = Object.entries(headers).map(([name, value]) => ` \\\n  -H '${name}: ${value}'`);
  return `curl -i '${url}'${lines.join("")}`;
}

function preflight({ url, token, proof }, seen) {
  const heading = el("h2", {}, "The preflight");
  if (token === null) {
    return [
      heading,
      el(
        "p",
        {},
        "There is none: this request has no header of its own. The browser sends it, and asks the answer whether the page may read it (CORS).",
      ),
    ];
  }
  const names = proof === null ? "authorization" : "authorization,dpop";
  const { host, pathname } = new URL(url);
  const composed = [
    `OPTIONS ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    `Origin: ${location.origin}`,
    "Access-Control-Request-Method: GET",
    `Access-Control-Request-Headers: ${names}`,
  ].join("\n");
  const known = seen?.preflight ?? null;
  return [
    heading,
    el(
      "p",
      {},
      "The request has a header that not every page may send. So the browser asked the API first, by itself and without the token. It remembers the answer for as long as Access-Control-Max-Age says.",
    ),
    el("pre", { "data-testid": "raw-preflight" }, known?.request ?? composed),
    known
      ? el("pre", { "data-testid": "raw-preflight-answer" }, known.answer)
      : el("p", { class: "hint" }, "No page can see its answer."),
  ];
}

function requestHead({ method, url, token, scheme, proof }) {
  const { host, pathname } = new URL(url);
  return [
    `${method} ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    `Origin: ${location.origin}`,
    ...(token === null ? [] : [`Authorization: ${scheme} ${shortened(token)}`]),
    ...(proof === null ? [] : [`DPoP: ${shortened(proof)}`]),
  ].join("\n");
}

function answered(answer, seen) {
  const composed = [
    `HTTP/1.1 ${answer.statusLine}`,
    ...answer.allHeaders.map(([name, value]) => `${name}: ${value}`),
  ].join("\n");
  const lines = (seen?.answer ?? composed).split("\n");
  const readable = new Set(answer.allHeaders.map(([name]) => name));
  const isHidden = (line) => !readable.has(line.split(":")[0].toLowerCase());
  const hidden = lines.slice(1).filter(isHidden);
  return [
    el("h2", {}, "The answer"),
    el(
      "pre",
      { "data-testid": "raw-answer" },
      lines[0],
      lines
        .slice(1)
        .flatMap((line) => ["\n", isHidden(line) ? el("span", { class: "unreadable" }, line) : line]),
      `\n\n${answer.text}`,
    ),
    el(
      "p",
      { class: "hint", "data-testid": "hidden-headers" },
      seen === null
        ? "The API sent more headers. CORS lets a page read only a few, and those that Access-Control-Expose-Headers names. The command below shows all."
        : `CORS hides ${hidden.length} of these headers from this page, the pale ones. It can read those that Access-Control-Expose-Headers names, and a few that every page may read.`,
    ),
  ];
}

function inTerminal({ url, token, scheme, proof }, title) {
  const headers = {
    ...(token === null ? {} : { Authorization: `${scheme} ${token}` }),
    ...(proof === null ? {} : { DPoP: proof }),
  };
  const command = curl(url, headers);
  const shown = [token, proof].reduce(
    (text, secret) => (secret === null ? text : text.replaceAll(secret, shortened(secret))),
    command,
  );
  return [
    el("pre", {}, shown),
    proof === null
      ? null
      : el("p", { class: "hint" }, "The API refuses it: it has seen this proof, and accepts it once."),
    el("p", { class: "actions" }, copyButton("Copy this command", command, title)),
  ];
}
