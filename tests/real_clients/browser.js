// A person in a browser, in front of the issuer's login page.

/** Returns where the browser is sent once the person has chosen who to be. */
export async function logIn(url, person = "sandbox|ada") {
  const page = await fetch(url, { redirect: "manual" });
  if (page.status !== 200) throw new Error(`no login page: ${page.status} ${page.headers.get("location")}`);
  const [, transaction] = /name="transaction" value="([^"]+)"/.exec(await page.text());
  const answer = await fetch(new URL("/login", url), {
    method: "POST",
    body: new URLSearchParams({ transaction, person }),
    redirect: "manual",
  });
  return new URL(answer.headers.get("location"));
}

/** Returns where the browser is sent at once. */
export async function refused(url) {
  const answer = await fetch(url, { redirect: "manual" });
  return new URL(answer.headers.get("location"));
}

/** Fails unless two values are the same. */
export function same(found, expected, what) {
  if (found !== expected) throw new Error(`${what}: ${found}, not ${expected}`);
  console.log(`ok  ${what}`);
}

/** Fails unless an action is refused with an error of this name. */
export async function fails(action, error, what) {
  try {
    await action();
  } catch (refusal) {
    same(refusal.error, error, what);
    return;
  }
  throw new Error(`${what}: it was not refused`);
}
