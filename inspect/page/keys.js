// The list of a group's keys. It may have a million: rows are drawn only where they can be
// seen, and read a page at a time, each behind a cursor. Where the scroll bar jumps to a page
// whose cursor is not known, the store passes over the keys before it.

import { $, el, bytes, flash, frame, later, modified, remaining, settled } from "./dom.js";
import { label, show } from "./names.js";

const PAGE = 200; // rows
const KEPT = 30; // pages of rows around what is seen
const TALLEST = 12_000_000; // pixels; browsers draw nothing beyond some 17 million
const ABOVE = 8; // rows that are drawn beyond each edge

export class KeyList {
	#api;
	#events; // onopen(row), onleave()
	#host = $("#keys");
	#space = $("#keys-space");
	#drawn = new Map(); // index → what is drawn of a row
	#generation = 0; // of what is listed; answers to earlier questions are of no use
	#pages = new Map(); // number → {rows, stop, missed}; while rows are read there are none, but what has changed since
	#starts = [null]; // number of a page → the cursor that it begins behind, where that is known
	#end = null; // how many keys there are, once the end was read
	#estimate = 0;
	#active = -1;
	listed; // {group, prefix}
	#rowHeight = 32;
	#clock = () => Date.now();

	constructor(api, events) {
		this.#api = api;
		this.#events = events;
		const draw = () => this.#draw();
		let asked = false;
		this.#host.addEventListener("scroll", () => {
			if (asked) return;
			asked = true;
			frame().then(() => {
				asked = false;
				draw();
			});
		}, { passive: true });
		new ResizeObserver(draw).observe(this.#host);
		this.#host.addEventListener("keydown", (event) => this.#onkey(event));
		this.#host.addEventListener("click", (event) => {
			const node = event.target.closest("[data-index]");
			if (node) this.#activate(Number(node.dataset.index), { open: true });
		});
		this.#settle = settled(70, (row) => this.#events.onopen(row, { quietly: true }));
		setInterval(() => this.#tick(), 1000);
	}

	#settle;
	set clock(now) { this.#clock = now; }
	get active() { return this.#row(this.#active); }
	get total() { return this.#end ?? Math.max(this.#estimate, (this.#starts.length - 1) * PAGE + 1); }

	// list shows the keys of a group that begin with a prefix, of which there may be about so many.
	async list(group, prefix, estimate = 0) {
		this.listed = { group, prefix };
		this.#restart();
		this.#estimate = estimate ?? 0;
		this.#active = -1;
		this.#activeKey = null;
		this.#forget();
		this.#host.scrollTop = 0;
		this.#host.setAttribute("aria-label", `Keys of ${label(group)}`);
		$("#keys-empty").hidden = true;
		await this.#load(0);
		this.#draw();
	}

	clear() {
		this.listed = null;
		this.#restart();
		this.#forget();
		this.#space.style.height = "0px";
		$("#keys-empty").hidden = true;
	}

	// expect says about how many keys there are.
	expect(estimate) {
		if (this.#end !== null || estimate <= this.#estimate) return;
		this.#estimate = estimate;
		this.#draw();
	}

	#restart(keep = 0) {
		this.#generation++;
		for (const { stop } of this.#pages.values()) stop?.abort();
		this.#pages.clear();
		this.#starts.length = Math.max(1, Math.min(this.#starts.length, keep + 1));
		this.#estimate = this.#end ?? this.#estimate;
		this.#end = null;
		this.#say("");
	}

	// reload reads again what is seen, and forgets whatever comes behind it.
	reload = later(700, () => {
		if (!this.listed) return;
		this.#restart(Math.floor(this.#first() / PAGE));
		this.#draw();
	});

	// changed takes one committed change of the group over, as far as rows that were read show it.
	changed(event) {
		if (!this.listed || !event.key.startsWith(this.listed.prefix)) return;
		for (const [number, { rows, missed }] of this.#pages) {
			if (!rows) {
				missed.push(event);
				continue;
			}
			const last = rows.length < PAGE || number * PAGE + PAGE === this.#end;
			if (rows.length && event.key < rows[0].key && number > 0 || !last && event.key > rows.at(-1).key) continue;
			const within = rows.findIndex((row) => row.key === event.key);
			if (event.revision < rows[within]?.revision) return;
			if (within < 0 || event.type !== "set") {
				if (within >= 0 || event.type === "set") this.reload();
				return;
			}
			Object.assign(rows[within], { size: event.size, revision: event.revision, expires: event.expires, value: event.value });
			const drawn = this.#drawn.get(number * PAGE + within);
			if (!drawn) return;
			this.#fill(drawn, rows[within], number * PAGE + within);
			flash(drawn.node);
			return;
		}
	}

	focus() { this.#host.focus(); }

	// select makes the key the active one, if it is among the rows that were read.
	select(key) {
		this.#activeKey = key;
		for (const [number, page] of this.#pages) {
			const within = page.rows?.findIndex((row) => row.key === key) ?? -1;
			if (within < 0) continue;
			this.#activate(number * PAGE + within, {});
			return;
		}
		this.#activate(-1, {});
	}

	#activeKey = null;

	#row(index) { return index < 0 ? null : this.#pages.get(Math.floor(index / PAGE))?.rows?.[index % PAGE] ?? null; }

	async #load(number) {
		if (this.#pages.has(number) || this.#end !== null && number > 0 && number * PAGE >= this.#end) return;
		const generation = this.#generation;
		const page = { rows: null, stop: new AbortController(), missed: [] };
		this.#pages.set(number, page);
		let from = Math.min(number, this.#starts.length - 1);
		while (from > 0 && this.#starts[from] === undefined) from--;
		const passing = (number - from) * PAGE;
		if (passing > 20 * PAGE) this.#say("passing over keys…");
		if (number === 0) this.#host.setAttribute("aria-busy", "true");
		try {
			const { group, prefix } = this.listed;
			const got = await this.#api.keys(group, {
				prefix, cursor: this.#starts[from], skip: passing, limit: PAGE, signal: page.stop.signal,
			});
			if (generation !== this.#generation) return;
			page.rows = got.rows;
			if (got.next !== null) this.#starts[number + 1] = got.next;
			else this.#end = from * PAGE + got.skipped + got.rows.length;
			if (this.#activeKey !== null && got.rows.some((row) => row.key === this.#activeKey)) this.select(this.#activeKey);
			$("#keys-empty").hidden = this.#end !== 0;
		} catch (error) {
			if (generation !== this.#generation) return;
			this.#pages.delete(number);
			if (error.name === "AbortError") this.#draw();
			else this.#failed(error);
			return;
		} finally {
			if (generation === this.#generation) {
				page.stop = null;
				this.#say("");
				if (number === 0) this.#host.removeAttribute("aria-busy");
			}
		}
		this.#draw(true);
		for (const event of page.missed) this.changed(event);
		if (this.#due !== null && Math.floor(this.#due / PAGE) === number) this.#activate(this.#due, { scroll: true });
	}

	#due = null; // the active row, while it is not read yet

	// failed waits before the same rows are asked for again.
	#failed(error) {
		this.#events.onerror(error);
		this.#resting = true;
		setTimeout(() => {
			this.#resting = false;
			this.#draw();
		}, 3000);
	}

	#resting = false;

	#say(text) { $("#keys-walk").textContent = text; }

	#height() { return this.total * this.#rowHeight; }

	// first is the index of the row at the top, as a fraction.
	#first() {
		const real = Math.min(this.#height(), TALLEST);
		const seen = this.#host.clientHeight;
		if (this.#height() <= TALLEST) return this.#host.scrollTop / this.#rowHeight;
		return (this.#host.scrollTop / Math.max(1, real - seen)) * (this.#height() - seen) / this.#rowHeight;
	}

	#scrollTo(index) {
		const seen = this.#host.clientHeight;
		const top = index * this.#rowHeight;
		if (this.#height() <= TALLEST) this.#host.scrollTop = top;
		else this.#host.scrollTop = (top / (this.#height() - seen)) * (TALLEST - seen);
	}

	#draw(again = false) {
		if (!this.listed) return;
		const measured = parseFloat(getComputedStyle(this.#host).getPropertyValue("--row"));
		if (measured && measured !== this.#rowHeight) {
			this.#rowHeight = measured;
			this.#forget();
		}
		const total = this.total;
		this.#space.style.height = `${Math.min(this.#height(), TALLEST)}px`;
		const first = Math.max(0, Math.min(this.#first(), total));
		const from = Math.max(0, Math.floor(first) - ABOVE);
		const to = Math.min(total, Math.ceil(first + this.#host.clientHeight / this.#rowHeight) + ABOVE);
		for (const [index, { node }] of this.#drawn) {
			if (index >= from && index < to) continue;
			node.remove();
			this.#drawn.delete(index);
		}
		const base = this.#host.scrollTop - first * this.#rowHeight; // 0, unless the height is scaled
		for (let index = from; index < to; index++) this.#place(index, base, again);
		this.#read(Math.floor(from / PAGE), Math.floor(Math.max(from, to - 1) / PAGE));
		this.#events.oncount(total, this.#end !== null);
	}

	#place(index, base, again) {
		let drawn = this.#drawn.get(index);
		const row = this.#row(index);
		if (!drawn) {
			drawn = rowNode();
			drawn.node.dataset.index = index;
			drawn.node.id = "key-" + index;
			this.#drawn.set(index, drawn);
			this.#space.append(drawn.node);
			this.#fill(drawn, row, index);
		} else if (again || drawn.row !== row) {
			this.#fill(drawn, row, index);
		}
		drawn.node.style.transform = `translateY(${base + index * this.#rowHeight}px)`;
	}

	#fill(drawn, row, index) {
		const { node } = drawn;
		node.setAttribute("aria-selected", String(index === this.#active));
		node.setAttribute("aria-posinset", index + 1);
		node.setAttribute("aria-setsize", this.#end ?? -1);
		node.classList.toggle("waiting", !row && !drawn.row);
		if (!row) return; // while rows are read again, what they were stays
		drawn.row = row;
		drawn.key.replaceChildren(show(row.key, { most: 256 }));
		drawn.value.replaceChildren(...(row.value ? [show(row.value, { most: 120 })] : []));
		drawn.size.textContent = bytes(row.size);
		drawn.revision.textContent = row.revision ? "r" + row.revision : "";
		this.#ttl(drawn, row);
	}

	#ttl(drawn, row) {
		const left = row.expires ? row.expires - this.#clock() : null;
		drawn.ttl.textContent = left === null ? "" : remaining(left);
		drawn.node.classList.toggle("expired", left !== null && left <= 0);
	}

	#tick() {
		for (const drawn of this.#drawn.values()) if (drawn.row?.expires) this.#ttl(drawn, drawn.row);
	}

	// read reads the pages that are seen, and lets those go that are far from it.
	#read(first, last) {
		for (const [number, page] of this.#pages) {
			if (number >= first && number <= last) continue;
			if (page.stop && Math.abs(number - first) > 1) page.stop.abort();
			if (number < first - KEPT || number > last + KEPT) this.#pages.delete(number);
		}
		if (this.#resting) return;
		for (let number = first; number <= last; number++) this.#load(number);
	}

	#forget() {
		for (const { node } of this.#drawn.values()) node.remove();
		this.#drawn.clear();
	}

	#activate(index, { open = false, scroll = false }) {
		index = Math.min(index, this.total - 1);
		const before = this.#active;
		this.#active = index;
		if (scroll && index >= 0) this.#reveal(index);
		for (const at of [before, index]) this.#drawn.get(at)?.node.setAttribute("aria-selected", String(at === index));
		if (this.#drawn.has(index)) this.#host.setAttribute("aria-activedescendant", "key-" + index);
		else this.#host.removeAttribute("aria-activedescendant");
		const row = this.#row(index);
		this.#due = row ? null : index;
		if (!row) return;
		this.#activeKey = row.key;
		if (open) this.#events.onopen(row, { quietly: false });
		else if (scroll) this.#settle(row);
	}

	#reveal(index) {
		const seen = Math.floor(this.#host.clientHeight / this.#rowHeight);
		const first = this.#first();
		if (index < first) this.#scrollTo(index);
		else if (index > first + seen - 1) this.#scrollTo(index - seen + 1);
		this.#draw();
	}

	#onkey(event) {
		if (modified(event)) return;
		const seen = Math.max(1, Math.floor(this.#host.clientHeight / this.#rowHeight) - 1);
		const to = {
			ArrowDown: this.#active + 1, j: this.#active + 1,
			ArrowUp: Math.max(0, this.#active - 1), k: Math.max(0, this.#active - 1),
			PageDown: this.#active + seen, PageUp: Math.max(0, this.#active - seen),
			Home: 0, End: this.total - 1,
		}[event.key];
		if (to !== undefined) {
			event.preventDefault();
			if (this.total) this.#activate(to, { scroll: true });
		} else if (event.key === "Enter" || event.key === "ArrowRight" || event.key === " ") {
			event.preventDefault();
			if (this.active) this.#events.onopen(this.active, { quietly: false });
		} else if (event.key === "ArrowLeft" || event.key === "Escape") {
			event.preventDefault();
			this.#events.onleave();
		}
	}
}

function rowNode() {
	const key = el("span.key", {}, "…");
	const value = el("span.value");
	const ttl = el("span.ttl");
	const size = el("span.size");
	const revision = el("span.revision");
	return { node: el("div.row", { role: "option" }, key, value, ttl, size, revision), key, value, ttl, size, revision };
}
