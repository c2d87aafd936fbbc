// What can this page ask about the sandbox, and change in it?

import { Problem } from "./problem.js";

/** Ask the server of this page, which knows the sandbox. Return its answer, or null. */
export async function lesson(name, asked) {
  try {
    const response = await fetch(`/lessons/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" }, // no page of another origin can send this
      body: JSON.stringify(asked),
      signal: AbortSignal.timeout(10_000),
    });
    return response.ok ? await response.json() : null;
  } catch {
    throw new Problem("The sandbox does not answer. Is it running?");
  }
}

/** Return what the API saw and logged of an exchange, or null if that cannot be known. */
export async function seenByApi({ answer }, config) {
  const id = new Map(answer?.headers ?? []).get("x-request-id");
  if (!config.lessons || id === undefined) return null;
  return lesson("request", { id }).catch(() => null);
}
