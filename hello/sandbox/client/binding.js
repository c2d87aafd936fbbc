// Are tokens to be bound to this browser, and to which key?
//
// The choice is this tab's, and survives a reload. The key is kept in IndexedDB, and not only in
// memory: a login leaves this page, and tells the issuer before that which key the tokens will be
// bound to (dpop_jkt: RFC 9449 §10). So that key must still be there when the issuer sends the
// person back. IndexedDB stores it without showing its private half to any script.

import { newKey } from "./dpop.js";
import { Problem } from "./problem.js";

const CHOICE = "binding";
const DATABASE = "binding";
const STORE = "keys";
const NAME = "browser";

export function bindingWanted() {
  return sessionStorage.getItem(CHOICE) !== null;
}

export async function wantBinding(on) {
  if (on) {
    sessionStorage.setItem(CHOICE, "on");
  } else {
    sessionStorage.removeItem(CHOICE);
    await forgetKey();
  }
}

/** Return this browser's key. Make it if there is none. */
export async function browserKey() {
  try {
    const kept = await inStore("readonly", (store) => store.get(NAME));
    if (kept !== undefined) return kept;
    const made = await newKey();
    // Another tab may have been faster. Then this fails, and both tabs use the other's key.
    await inStore("readwrite", (store) => store.add(made, NAME)).catch(() => {});
    return (await inStore("readonly", (store) => store.get(NAME))) ?? Promise.reject(new Error());
  } catch {
    throw new Problem(
      "This browser cannot keep a key",
      "A private window may forbid it. Without a key, tokens cannot be bound to this browser.",
    );
  }
}

/** Forget this browser's key. A tab with tokens that are bound to it still has it in memory. */
export async function forgetKey() {
  await inStore("readwrite", (store) => store.delete(NAME)).catch(() => {});
}

function inStore(mode, act) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
      database.close(); // once the transaction has ended
    };
  });
}
