// Hands the authorization response to the page that asked for it in a frame or a popup, and to
// pages of that one origin only.
const { target, response } = document.body.dataset;
const asker = window.opener ?? window.parent;
asker.postMessage({ type: "authorization_response", response: JSON.parse(response) }, target);
