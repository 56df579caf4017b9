// One key: its value, when it expires, what happened to it, and how it is changed. A change
// is made on condition of the revision that was seen: what somebody else has written since is
// shown, never overwritten by accident.

import { $, $$, ask, bytes as size, count, el, flash, icon, moment, region, remaining, toast } from "./dom.js";
import { lines, within } from "./diff.js";
import { fromText, label, show, visible } from "./names.js";
import * as value from "./value.js";

const EDITED = 1 << 20; // bytes of a value that are edited here at most

export class EntryPane {
	#api;
	#events; // onerror, onclose
	#host = $("#entry");
	#at = null; // {group, key}: what is shown or being read
	#seen = null; // the entry that is shown
	#generation = 0; // of what is shown; answers to earlier questions are of no use
	#heard = null; // while the entry is read: the revision of the last change of it since
	#mode = null; // how values are shown, if it was chosen
	#tab = "value";
	#editor = null; // {seen, area, hex, before, saving} while the value is edited
	writes = false;
	clock = () => Date.now();

	constructor(api, events) {
		this.#api = api;
		this.#events = events;
		setInterval(() => this.#tick(), 250);
	}

	get at() { return this.#at; }
	get editing() { return this.#editor !== null; }

	// next has whatever is still read be of no use.
	#next() {
		this.#heard = null;
		this.#host.removeAttribute("aria-busy");
		return ++this.#generation;
	}

	clear() {
		this.#next();
		this.#at = this.#seen = this.#editor = null;
		this.#host.replaceChildren(el("div.blank", {}, icon("key"), el("p", {}, "Choose a key to see its value.")));
	}

	// open shows a key as it is now.
	async open(group, key) {
		if (this.#editor && !(await this.leave())) return;
		this.#at = { group, key };
		await this.#read();
	}

	// again reads what is shown anew, unless it is edited.
	again() { if (this.#at && !this.#editor) this.open(this.#at.group, this.#at.key); }

	// known is what is shown, unless it is that of the key before the one that is being read.
	get known() { return this.#seen?.group === this.#at?.group && this.#seen?.key === this.#at?.key ? this.#seen : null; }

	// present is the same if the key is there.
	get #present() { return this.known?.gone ? null : this.known; }

	// read shows the key as it is now. An answer that a change has overtaken is shown too, since
	// of a key that always changes there may be no other, and is asked for again.
	async #read() {
		const { group, key } = this.#at;
		const generation = this.#next();
		this.#heard = 0;
		this.#host.setAttribute("aria-busy", "true");
		try {
			const entry = await this.#api.entry(group, key);
			if (generation !== this.#generation) return;
			const overtaken = this.#heard > (entry?.revision ?? 0);
			this.#show(entry ?? (this.known?.gone ? this.known : { group, key, gone: true }));
			if (overtaken) await this.#read();
		} catch (error) {
			if (generation === this.#generation) this.#failed(group, key, error);
		}
	}

	#show(entry) {
		this.#next();
		this.#seen = entry;
		this.#draw();
	}

	// leave asks before what was typed is lost.
	async leave() {
		const dirty = this.#editor && this.#editor.area.value !== this.#editor.before;
		if (dirty && await ask($("#discard")) !== "discard") return false;
		this.#editor = null;
		return true;
	}

	// changed takes a committed change of the key over. Those of a batch share a revision, of
	// which an answer is the end; what is shown of an event has its type.
	async changed(event) {
		const { revision, type } = event;
		const at = this.#at;
		const known = this.known;
		if (revision < known?.revision || revision === known?.revision && !known.type) return;
		if (this.#editor) {
			if (!this.#editor.saving) $(".stale", this.#host)?.removeAttribute("hidden");
			return;
		}
		if (type !== "set") this.#show({ ...at, gone: true, revision, type });
		else if (!event.cut && event.value !== null) this.#show(event);
		else if (this.#heard !== null) this.#heard = revision;
		else await this.#read();
		if (at === this.#at) flash(this.#host);
	}

	focus() { ($("h2", this.#host) ?? this.#host).focus(); }

	#failed(group, key, error) {
		this.#next();
		this.#at = this.#seen = null;
		this.#host.replaceChildren(el("div.blank.bad", { role: "alert" }, icon("warning"), el("p", {}, error.message),
			el("button", { onclick: () => this.open(group, key) }, "Try again")));
	}

	#draw() {
		const seen = this.#seen;
		const focused = this.#host.contains(document.activeElement) ? document.activeElement.dataset.keep : null;
		this.#host.replaceChildren(this.#head(seen), seen.gone ? this.#gone() : this.#body(seen));
		if (focused) $(`[data-keep="${focused}"]`, this.#host)?.focus({ preventScroll: true });
		if (this.#tab === "history") this.#history();
		this.#tick();
	}

	#head(seen) {
		const facts = seen.gone ? null : el("dl.facts", {},
			fact("Revision", el("span.number", {}, count(seen.revision))),
			fact("Size", size(seen.size)),
			fact("Expires", el("span.number.expiry", {}, seen.expires ? "" : "never")));
		return el("div.entryhead", {},
			el("button.back", { "aria-label": "Back to the keys", onclick: () => this.#events.onclose() }, icon("back")),
			el("div.path", {},
				el("p.of", { title: label(seen.group) }, show(seen.group, { most: 300 })),
				el("h2", { tabindex: "-1", title: label(seen.key) }, show(seen.key, { most: 600 }))),
			facts);
	}

	#gone() {
		const why = { expire: "This key has expired.", delete: "This key was deleted.", delete_group: "This key's group was deleted." }[this.#seen.type] ?? "There is no such key, or it has expired.";
		const pane = el("div.panel", { id: "panel" });
		return el("div.body", {}, el("div.blank", {}, icon("gone"), el("p", {}, why),
			el("button", { "data-keep": "t-history", onclick: (event) => {
				event.target.remove();
				this.#tab = "history";
				this.#history();
			} }, "Show its history")), pane);
	}

	#body(seen) {
		const tab = (name, text) => el("button", {
			role: "tab", id: "tab-" + name, "data-keep": "t-" + name, "aria-selected": String(this.#tab === name), "aria-controls": "panel",
			tabindex: this.#tab === name ? "0" : "-1",
			onclick: () => this.#turn(name),
			onkeydown: (event) => {
				if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
				this.#turn(name === "value" ? "history" : "value");
				$("[role=tab][aria-selected=true]", this.#host).focus();
			},
		}, text);
		const tools = el("div.tools", {});
		if (this.writes) {
			tools.append(
				el("button", { "data-keep": "edit", title: "Edit (e)", onclick: () => this.edit() }, icon("edit"), "Edit"),
				el("button", { "data-keep": "touch", title: "Set when it expires (t)", onclick: () => this.touch() }, icon("clock"), "Expiry"),
				el("button.danger", { "data-keep": "delete", title: "Delete (Delete)", onclick: () => this.remove() }, icon("trash"), "Delete"));
		}
		const panel = el("div.panel", { id: "panel", role: "tabpanel", "aria-labelledby": "tab-" + this.#tab });
		if (this.#tab === "value") this.#value(panel, seen);
		return el("div.body", {},
			el("div.bar", {}, el("div.tabs", { role: "tablist", "aria-label": "What to show of the key" }, tab("value", "Value"), tab("history", "History")), tools),
			panel);
	}

	#turn(name) {
		this.#tab = name;
		this.#draw();
	}

	#value(panel, seen) {
		const kinds = value.kinds(seen.value ?? "");
		const modes = [kinds.json !== null && "json", kinds.text !== null && "text", "hex"].filter(Boolean);
		const mode = modes.includes(this.#mode) ? this.#mode : modes[0];
		const names = { json: "JSON", text: "Text", hex: "Hex" };
		const choice = el("div.segments", { role: "group", "aria-label": "Show the value as" }, ...modes.map((name) =>
			el("button", { "data-keep": "m-" + name, "aria-pressed": String(name === mode), onclick: () => this.mode(name) }, names[name])));
		const copy = el("button.quiet", { "data-keep": "copy", title: "Copy the value (c)", onclick: () => this.copy() }, icon("copy"), "Copy");
		panel.append(el("div.viewbar", {}, choice, copy), value.node(seen.value ?? "", kinds, mode));
		if (seen.cut) panel.append(el("p.cut", {}, `These are the first ${size(seen.value.length)} of ${size(seen.size)}. `,
			el("button", { onclick: (event) => this.#whole(event.target) }, "Show all of it")));
	}

	async #whole(button) {
		if (!this.#present) return;
		const { group, key } = this.#at;
		const generation = this.#generation;
		button.disabled = true;
		try {
			const all = await this.#api.entry(group, key, 2 ** 30);
			if (generation === this.#generation) this.#show(all ?? { group, key, gone: true });
		} catch (error) {
			button.disabled = false;
			this.#events.onerror(error);
		}
	}

	mode(name) {
		this.#mode = name;
		if (this.#seen && !this.#editor) this.#draw();
	}

	cycle() {
		const buttons = $$(".segments button", this.#host);
		const at = buttons.findIndex((button) => button.getAttribute("aria-pressed") === "true");
		buttons[(at + 1) % buttons.length]?.click();
	}

	turn() { if (this.#present && !this.#editor) this.#turn(this.#tab === "value" ? "history" : "value"); }

	async copy() {
		if (!this.#present) return;
		try {
			const { text } = value.kinds(this.#seen.value);
			await navigator.clipboard.writeText(text ?? value.hexDump(this.#seen.value));
			toast(text === null ? "Copied as hex: the value is no text." : this.#seen.cut ? "Copied what is shown of it." : "Copied.");
		} catch {
			toast("The browser does not allow copying here.", "bad");
		}
	}

	#tick() {
		const seen = this.#seen;
		const node = $(".expiry", this.#host);
		if (!node || !seen?.expires) return;
		const left = seen.expires - this.clock();
		node.textContent = left > 0 ? "in " + remaining(left) : "now";
		node.title = moment(seen.expires);
		node.classList.toggle("soon", left < 60_000);
	}

	// History.

	async #history() {
		const panel = $("#panel", this.#host);
		const { group, key } = this.#seen;
		const generation = this.#generation;
		panel.setAttribute("aria-busy", "true");
		if (!panel.firstChild) panel.append(el("p.quiet.loading", {}, "Reading the log of changes…"));
		try {
			const got = await this.#api.history(group, key);
			if (generation !== this.#generation || !panel.isConnected) return;
			panel.replaceChildren(...this.#changes(got));
		} catch (error) {
			if (generation === this.#generation) panel.replaceChildren(el("p.bad", { role: "alert" }, error.message));
		} finally {
			panel.removeAttribute("aria-busy");
		}
	}

	#changes({ events, complete, oldest }) {
		if (!events.length) return [el("p.quiet", {}, complete ? "The log of changes holds nothing of this key any more." : "Nothing found in good time: the log of changes is long.")];
		const items = events.map((event, i) => {
			const before = events[i + 1];
			const details = el("details.change", {}, el("summary", {},
				el(`span.kind.${event.type}`, {}, words[event.type] ?? event.type),
				el("span.number", {}, "r" + event.revision),
				el("time", {}, event.time ? moment(event.time) : ""),
				el("span.size", {}, event.size === null ? "" : size(event.size))));
			const fill = () => {
				if (!details.open || details.childElementCount > 1) return;
				details.append(difference(event, before));
			};
			details.addEventListener("toggle", fill);
			if (i === 0) details.open = true;
			return el("li", {}, details);
		});
		const end = complete ? "That is all that the log holds" + (oldest ? `; it begins at revision ${count(oldest)}.` : ".") : "There may be more in the log than is shown here.";
		return [el("ol.changes", { "aria-label": "Changes of this key, newest first" }, ...items), el("p.quiet", {}, end)];
	}

	// Changes.

	// create begins a key that is not there yet.
	async create(group, key) {
		if (!(await this.leave())) return;
		this.#at = { group, key };
		this.#show({ group, key, gone: true });
		this.#edit({ group, key, revision: null, expires: null }, "");
	}

	async edit() {
		const seen = this.#present;
		if (!this.writes || !seen || this.#editor) return;
		if (seen.size > EDITED) {
			toast(`Values over ${size(EDITED)} are not edited here.`, "bad");
			return;
		}
		const generation = this.#generation;
		try {
			const whole = seen.cut ? await this.#api.entry(seen.group, seen.key, EDITED) : seen;
			if (generation === this.#generation) this.#edit(seen, whole?.value ?? "");
		} catch (error) {
			this.#events.onerror(error);
		}
	}

	// typed is an editor of before: its text is gone on with, as text or hex as it was there.
	#edit(seen, whole, typed = null) {
		const { text } = value.kinds(whole);
		// A text box changes line ends and can't hold control characters: such values are edited as hex.
		const hex = typed ? typed.hex : text === null || /[\u0000-\u0008\u000B-\u001F\u007F]/.test(text);
		const area = el("textarea", { id: "edited", spellcheck: "false", autocapitalize: "off", autocomplete: "off", dir: "auto", "aria-label": hex ? "The value, in hex" : "The value" });
		area.value = typed?.area.value ?? (hex ? value.hexDump(whole) : text);
		if (hex) area.classList.add("hex");
		this.#next();
		this.#editor = { seen, area, hex, before: hex ? value.hexDump(whole) : text };
		const expiry = el("select", { id: "edited-ttl", "aria-label": "When it expires" },
			...(seen.expires ? [el("option", { value: "keep" }, "keeps its expiry")] : []),
			...ttls.map(([ttl, text]) => el("option", { value: ttl }, text)));
		const form = el("form.editor", { "aria-label": "Edit the value", onsubmit: (event) => {
			event.preventDefault();
			this.#save(expiry.value);
		}, onkeydown: (event) => {
			if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
			else if (event.key === "Escape") this.#cancel();
			else return;
			event.preventDefault();
			event.stopPropagation();
		} },
			el("p.stale", { hidden: true, role: "status" }, icon("warning"), "Somebody else has changed this key meanwhile. Saving will show you both values."),
			hex ? el("p.quiet", {}, "This value is not plain text, so it is edited as bytes.") : null,
			area,
			el("div.formbar", {}, expiry,
				el("button", { onclick: () => this.#cancel() }, "Cancel"),
				el("button.primary", { type: "submit" }, "Save")));
		$(".body", this.#host)?.remove();
		this.#host.append(el("div.body", {}, form));
		area.focus();
		area.setSelectionRange(0, 0);
	}

	async #cancel() {
		if (await this.leave()) this.again();
	}

	async #save(ttl) {
		const editor = this.#editor;
		const { seen, area, hex, saving } = editor;
		if (saving) return; // what it writes would be taken for somebody else's
		const bytes = hex ? value.fromHex(area.value) : fromText(area.value);
		if (bytes === null) {
			toast("That is not hex: two digits a byte.", "bad");
			area.focus();
			return;
		}
		editor.saving = true;
		const button = $("button.primary", this.#host);
		button.disabled = true;
		try {
			await this.#api.set(seen.group, seen.key, bytes, { revision: seen.revision, ...(ttl === "keep" ? { expires: seen.expires } : { ttl: ttl === "never" ? null : ttl }) });
			toast("Saved.");
			if (editor !== this.#editor) return; // it was left meanwhile
			this.#editor = null;
			await this.open(seen.group, seen.key);
			this.focus();
		} catch (error) {
			button.disabled = false;
			if (error.status === 412) await this.#conflict(seen, bytes, ttl);
			else this.#events.onerror(error);
		} finally {
			editor.saving = false;
		}
	}

	// conflict shows what somebody else has written beside what was to be, and lets choose.
	async #conflict(seen, mine, ttl) {
		const editor = this.#editor;
		const theirs = await this.#api.entry(seen.group, seen.key, EDITED).catch(() => null);
		if (!editor || editor !== this.#editor) return;
		const show = (bytes, what) => {
			const kinds = value.kinds(bytes);
			return value.node(bytes, kinds, kinds.best, what);
		};
		const now = theirs ? `Revision ${count(theirs.revision)}, in the store now` : "The key was deleted, or has expired";
		const overwrite = async () => {
			this.#editor = { ...this.#editor, seen: { ...seen, revision: theirs?.revision ?? null, expires: theirs?.expires ?? null } };
			const kept = ttl === "keep" && !theirs?.expires ? "never" : ttl;
			await this.#save(kept);
		};
		const box = el("section.conflict", { role: "alertdialog", "aria-labelledby": "conflict-title", "aria-describedby": "conflict-text" },
			el("h3", { id: "conflict-title", tabindex: "-1" }, icon("warning"), "Somebody else was first"),
			el("p", { id: "conflict-text" }, (seen.revision === null ? "The key was not to be there yet, but it is." : `You began at revision ${count(seen.revision)}; the key has changed since.`) + " Nothing of yours was written yet."),
			el("div.both", {},
				el("div", {}, el("h4", {}, "Yours"), show(mine, "Yours")),
				el("div", {}, el("h4", {}, now), theirs ? show(theirs.value, "Theirs") : el("p.quiet", {}, "Nothing is there."))),
			theirs ? el("details", {}, el("summary", {}, "The difference, from theirs to yours"), difference({ type: "set", value: mine }, { type: "set", value: theirs.value })) : null,
			el("div.formbar", {},
				el("button", { onclick: () => {
					this.#editor = null;
					this.open(seen.group, seen.key);
				} }, "Take theirs"),
				el("button", { onclick: () => this.#edit(theirs, theirs.value, this.#editor), disabled: !theirs }, "Go on editing"),
				el("button.primary.danger", { onclick: overwrite }, "Write mine over it")));
		$(".body", this.#host).replaceChildren(box);
		$("h3", box).focus();
	}

	async touch() {
		const seen = this.#present;
		if (!this.writes || !seen || this.#editor) return;
		const dialog = $("#touch");
		$("#touch-ttl").replaceChildren(...ttls.map(([ttl, text]) => el("option", { value: ttl }, text)));
		if (await ask(dialog) !== "set") return;
		await this.#change(() => this.#api.touch(seen.group, seen.key, { revision: seen.revision, ttl: $("#touch-ttl").value }), "The expiry is set.");
	}

	async remove() {
		const seen = this.#present;
		if (!this.writes || !seen || this.#editor) return;
		$("#delete-name").replaceChildren(show(seen.key, { most: 300 }));
		if (await ask($("#delete")) !== "delete") return;
		await this.#change(() => this.#api.remove(seen.group, seen.key, { revision: seen.revision }), "Deleted.");
	}

	async #change(work, done) {
		const { group, key } = this.#at;
		try {
			await work();
			toast(done);
		} catch (error) {
			if (error.status !== 412) {
				this.#events.onerror(error);
				return;
			}
			toast("Somebody else has changed the key since: nothing was done. This is what it is now.", "bad");
		}
		await this.open(group, key);
		this.focus();
	}
}

const words = { set: "set", delete: "deleted", delete_group: "group deleted", expire: "expired" };

const ttls = [["never", "never expires"], ["1m", "expires in 1 minute"], ["10m", "expires in 10 minutes"], ["1h", "expires in 1 hour"],
	["24h", "expires in 1 day"], ["168h", "expires in 7 days"], ["720h", "expires in 30 days"]];

const fact = (name, what) => el("div", {}, el("dt", {}, name), el("dd", {}, what));

// difference is what a change made of what was there before.
function difference(event, before) {
	if (event.type !== "set") {
		return el("p.quiet", {}, event.type === "expire" ? "The key was removed at its deadline." : "The key was removed.");
	}
	const text = (change) => {
		if (!change || change.type !== "set" || change.value === null) return "";
		const kinds = value.kinds(change.value);
		return kinds.json ?? kinds.text ?? value.hexDump(change.value);
	};
	const box = el("div.difference", {});
	const found = lines(text(before), text(event));
	if (!before || before.type !== "set") box.append(el("p.quiet", {}, before ? "It was written anew:" : "The first that the log has of it:"));
	if (event.cut || before?.cut) box.append(el("p.quiet", {}, "Of long values only the beginnings are compared."));
	if (found === null) {
		box.append(el("p.quiet", {}, "The two are too different to be compared line by line. This is the newer one:"),
			region("pre", "The value of " + event.revision, ...visible(text(event))));
	} else if (found.every(([kind]) => kind === "same")) {
		box.append(el("p.quiet", {}, "The value is the same as before."));
	} else {
		box.append(diffNode(found, !before || before.type !== "set", event.revision));
	}
	return box;
}

function diffNode(found, fresh, revision) {
	const pre = region("pre.diff", `What ${revision ? "revision " + revision : "you"} changed, line by line`);
	const near = new Set();
	for (const [i, [kind]] of found.entries()) if (kind !== "same") for (let j = i - 3; j <= i + 3; j++) near.add(j);
	let hidden = 0;
	for (const [i, [kind, line]] of found.entries()) {
		if (fresh && kind === "gone") continue; // the empty line that nothing is
		if (!near.has(i)) {
			hidden++;
			continue;
		}
		if (hidden) pre.append(skipped(hidden));
		hidden = 0;
		const other = kind === "gone" && found[i + 1]?.[0] === "new" && found[i - 1]?.[0] !== "gone" && found[i + 2]?.[0] !== "new" ? found[i + 1][1]
			: kind === "new" && found[i - 1]?.[0] === "gone" && found[i - 2]?.[0] !== "gone" && found[i + 1]?.[0] !== "new" ? found[i - 1][1] : null;
		pre.append(lineNode(kind, line, other));
	}
	if (hidden) pre.append(skipped(hidden));
	return pre;
}

const skipped = (n) => el("span.d-skipped", {}, `⋯ ${count(n)} ${n === 1 ? "line" : "lines"} as before\n`);

function lineNode(kind, line, other) {
	const sign = { same: "  ", gone: "− ", new: "+ " }[kind];
	if (other === null) return el(`span.d-${kind}`, {}, sign, ...visible(line), "\n");
	const [gone, fresh] = kind === "gone" ? within(line, other) : within(other, line);
	const [start, middle, end] = kind === "gone" ? gone : fresh;
	return el(`span.d-${kind}`, {}, sign, ...visible(start), el("mark", {}, ...visible(middle)), ...visible(end), "\n");
}
