// Shows what changes at the server without a reload by hand. The pages work without it.
"use strict";
let edited = false;
let waiting = 0;
document.addEventListener("input", (event) => { edited ||= Boolean(event.target.closest("main form")); });
async function refresh() {
  waiting = 0;
  if (edited || document.body.dataset.live === undefined) return;
  const answer = await fetch(location.href, { headers: { "Accept": "text/html" } });
  if (!answer.ok || edited) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(page.querySelector("main"));
}
const events = new EventSource("/api/events");
const soon = () => { waiting ||= setTimeout(refresh, 500); };
const kinds = [
  "peer.added", "peer.changed", "peer.deleted", "session.up", "session.down",
  "list.changed", "list.held", "list.failed", "list.recovered", "config.reloaded",
];
for (const kind of kinds) events.addEventListener(kind, soon);
