// Posts the authorization response to the page that opened this one in a frame or a popup, and only
// if that page is of the expected origin.
const { target, response } = document.body.dataset;
const asker = window.opener ?? window.parent;
asker.postMessage({ type: "authorization_response", response: JSON.parse(response) }, target);
