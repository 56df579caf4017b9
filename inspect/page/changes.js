// The view of changes: what is committed, newest first, drawn at most once a frame.

import { $, $$, bytes as size, clock, count, el, frame, icon, modified, plural } from "./dom.js";
import { cut, label, show } from "./names.js";

const KEPT = 300; // rows

export class Changes {
	#list = $("#changes-list");
	#events; // onopen(change)
	#waiting = []; // that are not drawn yet
	#skipped = 0; // that came faster than can be drawn
	#held = 0; // while paused
	#paused = false;
	#prefix = "";
	#drawing = false;
	total = 0;

	constructor(events) {
		this.#events = events;
		this.#list.addEventListener("click", (event) => {
			const row = event.target.closest("[data-link]");
			if (row?.change) this.#events.onopen(row.change);
		});
		this.#list.addEventListener("keydown", (event) => this.#onkey(event));
		$("#changes-pause").addEventListener("click", () => this.pause());
		setInterval(() => this.#rate(), 1000);
	}

	set prefix(prefix) { this.#prefix = prefix; }

	add(events) {
		for (const event of events) {
			if (event.type === "progress") continue;
			if (event.type !== "gap") this.total++;
			if (event.type !== "gap" && !event.group.startsWith(this.#prefix)) continue;
			if (this.#paused) this.#held++;
			this.#waiting.push(event);
		}
		const over = this.#waiting.length - KEPT;
		if (over > 0) {
			this.#waiting.splice(0, over);
			this.#skipped += over;
		}
		if (!this.#paused) this.#draw();
		else this.#label();
	}

	async #draw() {
		if (this.#drawing) return;
		this.#drawing = true;
		await frame();
		this.#drawing = false;
		if (this.#paused) return;
		const fresh = this.#waiting.splice(0);
		if (!fresh.length) return;
		const rows = fresh.map((event) => rowOf(event));
		if (this.#skipped) rows.unshift(el("li.skipped", {}, `${plural(this.#skipped, "change")} came faster than can be shown`));
		this.#skipped = 0;
		const focused = this.#list.contains(document.activeElement);
		this.#list.prepend(...rows.reverse());
		while (this.#list.childElementCount > KEPT) {
			const last = this.#list.lastElementChild;
			if (focused && last.contains(document.activeElement)) this.#list.firstElementChild.focus();
			last.remove();
		}
		if (!$("[tabindex='0']", this.#list)) $("[data-link]", this.#list)?.setAttribute("tabindex", "0");
		$("#changes-empty").hidden = true;
	}

	pause(paused = !this.#paused) {
		this.#paused = paused;
		this.#held = 0;
		this.#label();
		if (!paused) this.#draw();
	}

	#label() {
		const button = $("#changes-pause");
		button.setAttribute("aria-pressed", String(this.#paused));
		button.replaceChildren(icon(this.#paused ? "play" : "pause"), this.#paused ? (this.#held ? `Go on (${count(this.#held)} new)` : "Go on") : "Pause");
	}

	#last = 0; // total, a second ago

	#rate() {
		const now = this.total - this.#last;
		this.#last = this.total;
		$("#changes-rate").textContent = `${count(now)} a second`;
	}

	focus() { ($("[tabindex='0']", this.#list) ?? $("#changes-pause")).focus(); }

	#onkey(event) {
		const row = event.target.closest("li");
		if (!row || modified(event)) return;
		const step = (from, way) => {
			let next = from;
			do next = next[way]; while (next && next.dataset.link === undefined);
			return next;
		};
		let to = null;
		switch (event.key) {
			case "ArrowDown": case "j": to = step(row, "nextElementSibling"); break;
			case "ArrowUp": case "k": to = step(row, "previousElementSibling"); break;
			case "Home": to = $("[data-link]", this.#list); break;
			case "End": to = $$("[data-link]", this.#list).at(-1); break;
			case "Enter": if (row.change) this.#events.onopen(row.change); break;
			default: return;
		}
		event.preventDefault();
		if (!to) return;
		for (const other of $$("[tabindex='0']", this.#list)) other.tabIndex = -1;
		to.tabIndex = 0;
		to.focus();
	}
}

const verbs = { set: "set", delete: "delete", delete_group: "delete group", expire: "expire" };

function rowOf(event) {
	if (event.type === "gap") {
		const what = event.reason === "future"
			? "The store is another one, or was restored from a backup: what is shown here was read anew."
			: `Revisions ${count(event.from)} to ${count(event.to)} were missed: the log of changes does not hold them any more.`;
		return el("li.gap", {}, icon("warning"), what);
	}
	const what = [el("span.group", {}, show(event.group, { most: 120 }))];
	if (event.type !== "delete_group") what.push(el("span.slash", { "aria-hidden": "true" }, "›"), el("span.key", {}, show(event.key, { most: 160 })));
	const row = el("li", { "data-link": true, tabindex: "-1", title: event.type === "delete_group" ? null : `${label(event.group)} › ${label(event.key)}` },
		el(`span.kind.${event.type}`, {}, verbs[event.type]),
		el("span.what", {}, ...what),
		el("span.value", {}, ...(event.type === "set" && event.value !== null ? [show(cut(event.value, 160), { most: 160 })] : [])),
		el("span.size", {}, event.size === null || event.type !== "set" ? "" : size(event.size)),
		el("span.revision", {}, "r" + event.revision),
		el("time", {}, event.time ? clock(event.time) : ""));
	row.change = event;
	return row;
}
