// The page: what is where, the keys that lead there, and the state that the views share. The
// place (view, group, key) stands in the address behind #, so that links and "back" work.

import { API, Problem } from "./api.js";
import { Changes } from "./changes.js";
import { $, $$, ask, count, el, icon, later, modified, plural, settled, toast } from "./dom.js";
import { EntryPane } from "./entry.js";
import { Feed } from "./feed.js";
import { KeyList } from "./keys.js";
import { Metrics } from "./metrics.js";
import { fromPercent, fromText, label, percent, show, toText } from "./names.js";
import { Namespaces } from "./spaces.js";
import { GroupTree } from "./tree.js";

const root = document.documentElement;
const views = ["browse", "changes", "namespaces", "metrics"];
const api = new API();
let info = null;
let ahead = 0; // milliseconds by which the store's machine is ahead of this one
const clock = () => Date.now() + ahead;

// Where we are.

const place = { view: "browse", group: null, key: null };

function readPlace() {
	const [path, search = ""] = location.hash.slice(1).split("?");
	const view = path.replace(/^\//, "");
	const there = views.includes(view) && !(info?.namespace && view === "metrics"); // of the whole store
	const found = { view: there ? view : "browse", group: null, key: null };
	for (const part of search.split("&")) {
		const [name, value = ""] = part.split("=");
		if (name === "g") found.group = fromPercent(value);
		if (name === "k") found.key = fromPercent(value);
	}
	if (found.group === null) found.key = null;
	return found;
}

const address = ({ view, group, key }) => "#/" + view +
	(group === null ? "" : "?g=" + percent(group) + (key === null ? "" : "&k=" + percent(key)));

function go(to, { replace = false } = {}) {
	const target = address({ ...place, ...to });
	if (target === location.hash) return arrive();
	if (replace) history.replaceState(null, "", target);
	else history.pushState(null, "", target);
	return arrive();
}

// The token: from behind the address, from this tab's memory, or asked for.

const TOKEN = "gostore.token";

function takeToken() {
	const given = /^#token=(.*)$/.exec(location.hash);
	if (given) {
		history.replaceState(null, "", location.pathname + location.search);
		remember(decoded(given[1]));
	}
	try {
		api.token = sessionStorage.getItem(TOKEN);
	} catch { /* it is asked for each time */ }
}

// decoded is the text that is percent-encoded; itself, if it can't be that.
function decoded(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}

function remember(token) {
	api.token = token;
	try {
		sessionStorage.setItem(TOKEN, token);
	} catch { /* likewise */ }
}

let asking = null;

api.ontoken = (wrong) => {
	asking ??= (async () => {
		$("#token-wrong").hidden = !wrong;
		$("#token-field").value = "";
		const answer = await ask($("#token"));
		asking = null;
		const token = $("#token-field").value.trim();
		if (answer !== "use" || !token) return null;
		remember(token);
		return token;
	})();
	return asking;
};

// The parts.

const said = (error) => error instanceof Problem ? error.message : "The program does not answer: has it ended?";

const failed = (error) => {
	if (error.name === "AbortError") return;
	const text = said(error);
	if (failed.last === text && Date.now() - failed.at < 5000) return;
	Object.assign(failed, { last: text, at: Date.now() });
	toast(text, "bad");
};

const tree = new GroupTree(api, {
	onopen: (item, { enter = false } = {}) => openGroup(item.name, { enter }),
	onerror: failed,
});

const keys = new KeyList(api, {
	onopen: (row, { quietly }) => go({ key: row.key }, { replace: quietly }).then(() => { if (!quietly) entry.focus(); }),
	onleave: () => narrow() ? pane("groups") : tree.focus(),
	onerror: failed,
	oncount: (total, exact) => { $("#keys-count").textContent = (exact ? "" : "about ") + plural(total, "key"); },
});
keys.clock = clock;

const entry = new EntryPane(api, {
	onerror: failed,
	onclose: () => {
		go({ key: null }).then(() => keys.focus());
	},
});
entry.clock = clock;

const changes = new Changes({
	onopen: ({ type, group, key }) => go({ view: "browse", group, key: type === "delete_group" ? null : key }),
});

const metrics = new Metrics(api, changes, failed);

const namespaces = new Namespaces(api, {
	onerror: failed,
	onopen: (namespace) => {
		const prefix = info.namespace ? "" : namespace + ":";
		$("#tree-prefix").value = prefix;
		tree.open(fromText(prefix));
		go({ view: "browse", group: null, key: null }).then(() => tree.focus());
	},
});

const feed = new Feed(api, {
	onstatus: status,
	onerror: failed,
	onevents: (events) => {
		changes.add(events);
		for (const event of events) committed(event);
		revision(events.at(-1).revision);
	},
});

const spacesSoon = later(2000, () => { if (place.view === "namespaces") namespaces.load(); });

function committed(event) {
	if (event.type === "progress") return;
	if (event.type === "gap") return renew();
	tree.changed();
	spacesSoon();
	const here = entry.at;
	if (event.type === "delete_group") {
		if (event.group === keys.listed?.group) keys.reload();
		if (event.group === here?.group) entry.changed(event);
		return;
	}
	if (event.group === keys.listed?.group) keys.changed(event);
	if (event.group === here?.group && event.key === here.key) entry.changed(event);
}

function revision(n) {
	if (n) $("#revision").textContent = count(n);
}

let wasLive = false;

function status({ state, seconds }) {
	root.dataset.feed = state;
	const text = { connecting: "connecting", live: "live", waiting: "disconnected" }[state];
	$("#status").textContent = text;
	if (state !== "connecting") $("#lost").hidden = state === "live";
	if (state === "waiting") $("#lost-text").textContent = `The program does not answer. Trying again in ${seconds} s.`;
	if (state === "live") {
		if (wasLive) {
			api.info().then(introduce).catch(failed);
			renew();
		}
		wasLive = true;
	}
}

// renew reads what is seen anew, where changes of it may have been missed.
function renew() {
	tree.changed();
	keys.reload();
	entry.again();
}

function introduce(got) {
	info = got;
	ahead = Number.isFinite(got.now) ? got.now - Date.now() : 0;
	revision(got.revision);
	entry.writes = got.writes;
	root.dataset.writes = String(got.writes);
	$("#mode").textContent = got.writes ? "writes allowed" : "read-only";
	$("#mode").title = got.writes ? "Keys can be changed here." : "The program that serves this page does not allow changes from here.";
	$('nav a[href="#/metrics"]').hidden = Boolean(got.namespace);
	const name = got.name ?? got.namespace ?? "";
	$("#name").textContent = name;
	document.title = name ? `${name} · go-store` : "go-store";
}

// Browsing.

const narrow = () => matchMedia("(max-width: 760px)").matches;

function pane(name) { $("#browse").dataset.pane = name; }

async function openGroup(group, { enter = false } = {}) {
	await go({ view: "browse", group, key: null });
	if (enter || narrow()) keys.focus();
}

async function listKeys(group, prefix = "") {
	const known = tree.keys(group);
	const listing = keys.list(group, prefix, known ?? 0);
	if (prefix === "" && (known === null || tree.atLeast(group))) {
		api.count({ group }).then(({ keys: n }) => {
			if (keys.listed?.group === group && keys.listed.prefix === prefix) keys.expect(n);
		}).catch(() => {}); // the list finds out by itself
	}
	await listing;
}

const filterKeys = settled(150, () => {
	if (place.group !== null) listKeys(place.group, fromText($("#keys-prefix").value));
});

// arrive makes the page what the address says.
async function arrive() {
	const to = readPlace();
	if (entry.editing && (to.view !== place.view || to.group !== place.group || to.key !== place.key) && !(await entry.leave())) {
		history.pushState(null, "", address(place));
		return;
	}
	const moved = to.group !== place.group;
	const turned = to.view !== place.view;
	const before = place.key;
	Object.assign(place, to);
	for (const view of views) {
		$("#" + view).hidden = view !== place.view;
		const link = $(`nav a[href="#/${view}"]`);
		if (view === place.view) link.setAttribute("aria-current", "page");
		else link.removeAttribute("aria-current");
	}
	if (turned && place.view === "namespaces") namespaces.load();
	if (turned && place.view === "metrics") metrics.draw();
	if (place.view !== "browse") return;
	await browse(moved || keys.listed === undefined, before);
}

async function browse(moved, before) {
	const { group, key } = place;
	pane(key !== null ? "entry" : group !== null ? "keys" : "groups");
	$("#keyspane").dataset.open = String(group !== null);
	if (moved) {
		$("#keys-prefix").value = "";
		if (group === null) keys.clear();
		else {
			$("#keys-title").replaceChildren(show(group, { most: 300 }));
			$("#keys-title").title = label(group);
			tree.show(group);
			listKeys(group);
		}
	}
	if (key === null) {
		if (before !== null || moved) {
			entry.clear();
			if (group !== null) keys.select(null);
		}
	} else if (!entry.known || entry.at.group !== group || entry.at.key !== key) {
		keys.select(key);
		await entry.open(group, key);
	}
}

// Search: groups and keys that begin with what is typed.

const search = { input: $("#search"), list: $("#found"), stop: null, at: -1 };

const look = settled(140, async () => {
	search.stop?.abort();
	const text = search.input.value;
	if (text === "") {
		closeSearch();
		return;
	}
	search.stop = new AbortController();
	search.list.hidden = false;
	search.input.setAttribute("aria-expanded", "true");
	try {
		let cursor = null;
		const found = { groups: [], keys: [] };
		do {
			const got = await api.search(fromText(text), { cursor, signal: search.stop.signal });
			found.groups.push(...got.groups);
			found.keys.push(...got.keys);
			cursor = got.next;
			drawFound(found, cursor !== null);
		} while (cursor !== null && found.keys.length < 12);
		drawFound(found, false);
	} catch (error) {
		failed(error);
	}
});

function drawFound({ groups, keys: found }, looking) {
	const option = (kind, name, of, to) => {
		const node = el("li", { role: "option", id: `found-${search.list.childElementCount}`, "aria-selected": "false" },
			el("span.kind", {}, kind), ...(of === null ? [] : [el("span.of", {}, show(of, { most: 80 })), el("span.slash", { "aria-hidden": "true" }, "›")]), show(name, { most: 120 }));
		node.to = to;
		return node;
	};
	search.list.replaceChildren();
	for (const group of groups.slice(0, 8)) search.list.append(option("group", group, null, { view: "browse", group, key: null }));
	for (const { group, key } of found.slice(0, 12)) search.list.append(option("key", key, group, { view: "browse", group, key }));
	const n = search.list.childElementCount;
	if (!n) search.list.append(el("li.quiet", { role: "option", "aria-disabled": "true", "aria-selected": "false" }, looking ? "Looking…" : "Nothing begins with that."));
	search.at = n ? 0 : -1;
	markFound();
}

function markFound() {
	for (const [i, node] of [...search.list.children].entries()) node.setAttribute("aria-selected", String(i === search.at));
	const node = search.list.children[search.at];
	if (node?.to) {
		search.input.setAttribute("aria-activedescendant", node.id);
		node.scrollIntoView({ block: "nearest" });
	} else search.input.removeAttribute("aria-activedescendant");
}

function closeSearch() {
	search.stop?.abort();
	search.list.hidden = true;
	search.list.replaceChildren();
	search.at = -1;
	search.input.setAttribute("aria-expanded", "false");
	search.input.removeAttribute("aria-activedescendant");
}

function openFound(node) {
	if (!node?.to) return;
	search.input.value = "";
	closeSearch();
	go(node.to).then(() => node.to.key === null ? keys.focus() : entry.focus());
}

search.input.addEventListener("input", look);
search.input.addEventListener("keydown", (event) => {
	const n = search.list.children.length;
	if (event.key === "ArrowDown" && n) search.at = (search.at + 1) % n;
	else if (event.key === "ArrowUp" && n) search.at = (search.at - 1 + n) % n;
	else if (event.key === "Enter") openFound(search.list.children[search.at]);
	else if (event.key === "Escape") {
		search.input.value = "";
		closeSearch();
		search.input.blur();
	} else return;
	event.preventDefault();
	markFound();
});
search.list.addEventListener("pointerdown", (event) => {
	event.preventDefault();
	openFound(event.target.closest("li"));
});
search.input.addEventListener("blur", closeSearch);

// Themes.

const themes = ["auto", "light", "dark"];

function theme() { return root.dataset.theme ?? "auto"; }

function turnTheme() {
	const next = themes[(themes.indexOf(theme()) + 1) % themes.length];
	if (next === "auto") delete root.dataset.theme;
	else root.dataset.theme = next;
	try {
		if (next === "auto") localStorage.removeItem("gostore.theme");
		else localStorage.setItem("gostore.theme", next);
	} catch { /* until the page is left, then */ }
	sayTheme();
}

function sayTheme() { $("#theme").setAttribute("aria-label", `Theme: ${theme()}`); }

// Keys of the keyboard.

async function newKey() {
	if (!info?.writes) {
		toast("This page is read-only.");
		return;
	}
	const group = place.group === null ? "" : toText(place.group);
	if (group !== null) $("#new-group").value = group;
	$("#new-key").value = "";
	if (await ask($("#new")) !== "create") return;
	const at = { group: fromText($("#new-group").value), key: fromText($("#new-key").value) };
	await go({ view: "browse", group: at.group, key: null });
	pane("entry");
	await entry.create(at.group, at.key);
}

const shortcuts = {
	"/": () => search.input.focus(),
	g: () => go({ view: "browse" }).then(() => { pane("groups"); $("#tree-prefix").focus(); }),
	f: () => { if (place.group !== null) go({ view: "browse" }).then(() => $("#keys-prefix").focus()); },
	1: () => go({ view: "browse" }).then(() => tree.focus()),
	2: () => go({ view: "changes" }).then(() => changes.focus()),
	3: () => go({ view: "namespaces" }),
	4: () => go({ view: "metrics" }),
	p: () => changes.pause(),
	e: () => entry.edit(),
	t: () => entry.touch(),
	n: () => newKey(),
	c: () => entry.copy(),
	v: () => entry.cycle(),
	h: () => entry.turn(),
	Delete: () => entry.remove(),
	d: () => turnTheme(),
	"?": () => ask($("#help")),
};

document.addEventListener("keydown", (event) => {
	if (modified(event) || event.defaultPrevented) return;
	if ($("dialog[open]")) return;
	if (event.target.closest("input, textarea, select")) {
		if (event.key === "Escape") event.target.blur();
		return;
	}
	if (event.key === "Escape" && place.view === "browse" && place.key !== null && !entry.editing) {
		keys.focus();
		return;
	}
	const act = shortcuts[event.key];
	if (!act) return;
	event.preventDefault();
	act();
});

for (const dialog of $$("dialog")) {
	for (const button of $$("button[value]", dialog)) {
		if (button.type === "button") button.addEventListener("click", () => dialog.close(button.value));
	}
	dialog.querySelector("form")?.addEventListener("submit", (event) => {
		event.preventDefault();
		dialog.close(event.submitter?.value ?? dialog.querySelector("button[type=submit]").value);
	});
	dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(""); });
}

const on = (selector, event, act) => $(selector).addEventListener(event, act);
for (const mark of $$("[data-icon]")) mark.replaceWith(icon(mark.dataset.icon));
for (const input of $$("input")) Object.assign(input, { autocomplete: "off", autocapitalize: "off", spellcheck: false });
on("#theme", "click", turnTheme);
on("#help-open", "click", () => ask($("#help")));
on("#new-open", "click", newKey);
on("#lost-now", "click", () => feed.again());
on("#tree-prefix", "input", (event) => tree.filter(fromText(event.target.value)));
on("#keys-prefix", "input", filterKeys);
on("#changes-prefix", "input", (event) => { changes.prefix = fromText(event.target.value); });
on("#keys-back", "click", () => go({ group: null, key: null }).then(() => tree.focus()));
for (const [input, focus] of [["#tree-prefix", () => tree.focus()], ["#keys-prefix", () => keys.focus()]]) {
	$(input).addEventListener("keydown", (event) => {
		if (event.key !== "ArrowDown" && event.key !== "Enter") return;
		event.preventDefault();
		focus();
	});
}
for (const link of $$("nav a")) {
	link.addEventListener("click", (event) => {
		event.preventDefault();
		go({ view: link.hash.slice(2) });
	});
}
addEventListener("popstate", arrive);
addEventListener("hashchange", () => {
	if (!location.hash.startsWith("#token=")) return;
	takeToken();
	start();
});
addEventListener("beforeunload", (event) => { if (entry.editing) event.preventDefault(); });

setInterval(() => {
	if (!document.hidden && info && !info.namespace) metrics.poll(place.view === "metrics");
}, 1000);

async function start() {
	sayTheme();
	entry.clear();
	try {
		introduce(await api.info());
	} catch (error) {
		$("#start-text").textContent = said(error);
		$("#start").hidden = false;
		return;
	}
	$("#start").hidden = true;
	feed.start(info.revision);
	await tree.open("");
	await arrive();
	if (place.view === "browse" && place.group === null && document.activeElement === document.body) tree.focus();
}

on("#start-again", "click", start);
takeToken();
start();
