// How do bytes become text that fits into addresses and tokens? (base64url: RFC 4648 §5)

/** Return bytes as text. */
export function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

/** Return a text that nobody can guess. */
export function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** Return the SHA-256 of a text. */
export async function sha256(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return base64url(new Uint8Array(digest));
}
