// The tree of groups: a level at a time, by the separators in their names. One item has the
// focus (a roving tabindex); the arrows walk and open as in every tree.

import { $, $$, el, brief, bytes as size, icon, later, modified, settled } from "./dom.js";
import { label, show } from "./names.js";

export class GroupTree {
	#api;
	#events; // onopen(item, {enter}), onerror(error)
	#host = $("#tree");
	#root = null; // {prefix, items, next, node}
	#current = null; // the name of the group that is open
	#filter = "";
	#generation = 0;

	constructor(api, events) {
		this.#api = api;
		this.#events = events;
		this.#host.addEventListener("keydown", (event) => this.#onkey(event));
		this.#host.addEventListener("click", (event) => this.#onclick(event));
		document.addEventListener("visibilitychange", () => this.#refresh());
	}

	// open reads the first level: what begins with a prefix.
	async open(prefix = this.#filter) {
		this.#filter = prefix;
		const generation = ++this.#generation;
		this.#host.setAttribute("aria-busy", "true");
		try {
			const level = await this.#level(prefix);
			if (generation !== this.#generation) return;
			this.#root = level;
			this.#measure(level);
			this.#host.replaceChildren(...level.items.map((item) => item.node), ...more(level));
			$("#tree-empty").hidden = level.items.length > 0;
			$("#tree-empty").textContent = prefix === "" ? "No groups yet. The first key that is set makes one." : "No group begins with that.";
			this.#tabbable(this.#item(this.#current) ?? level.items[0]);
			// A single namespace at the top, or a single group, is opened: there is nothing else to choose.
			if (level.items.length === 1 && !level.items[0].leaf) await this.#expand(level.items[0]);
		} catch (error) {
			if (generation === this.#generation) this.#events.onerror(error);
		} finally {
			if (generation === this.#generation) this.#host.removeAttribute("aria-busy");
		}
	}

	filter = settled(150, (prefix) => this.open(prefix));

	// changed says that groups have changed: counts and names are read again, what is open stays.
	changed = later(2500, () => this.#refresh());

	async #refresh() {
		if (!this.#root || document.hidden) return;
		const generation = this.#generation;
		try {
			await this.#renew(this.#root, this.#host, () => generation === this.#generation);
		} catch (error) {
			this.#events.onerror(error);
		}
	}

	async #renew(level, host, current) {
		const fresh = await this.#level(level.prefix);
		if (!current()) return;
		const before = new Map(level.items.map((item) => [item.id, item]));
		const focused = document.activeElement?.closest?.("[role=treeitem]");
		level.next = fresh.next;
		const kept = level.items.slice(fresh.items.length);
		level.items = fresh.items.map((item) => {
			const old = before.get(item.id);
			if (!old) return item;
			if (item.keys !== null && (!item.atLeast || !old.measured)) Object.assign(old, { keys: item.keys, atLeast: item.atLeast, bytes: item.bytes, about: item.about });
			return old;
		});
		if (level.next !== null) level.items.push(...kept.filter((item) => !level.items.includes(item)));
		host.replaceChildren(...level.items.map((item) => item.node), ...more(level));
		drawFigures(level);
		this.#measure(level);
		if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
		$("#tree-empty").hidden = this.#root.items.length > 0;
		if (!$("[tabindex='0']", this.#host)) this.#tabbable(this.#root.items[0]);
		for (const item of level.items) {
			if (item.level && item.expanded) await this.#renew(item.level, item.children, current);
		}
	}

	async #level(prefix, after = null, parent = null) {
		const got = await this.#api.groups(prefix, after);
		const level = { prefix, next: got.next, items: [], parent };
		level.items = got.items.map((item) => itemNode(item, level));
		drawFigures(level);
		this.#mark(level.items);
		return level;
	}

	// measure counts, one after the other, what a level could not tell quickly.
	async #measure(level) {
		const generation = this.#generation;
		for (const item of level.items) {
			if (item.keys !== null && !item.atLeast || Date.now() - (item.measured ?? 0) < 20_000) continue;
			item.measured = Date.now();
			const got = await this.#api.count(item.leaf ? { group: item.name } : { prefix: item.name }).catch(() => null);
			if (generation !== this.#generation) return;
			if (got) Object.assign(item, got);
			drawFigures(level);
		}
	}

	// show marks a group as the one that is open, and opens the tree down to it.
	async show(group) {
		this.#current = group;
		let level = this.#root;
		while (level) {
			const next = level.items.find((item) => !item.leaf && group.startsWith(item.name));
			if (!next) break;
			if (!next.expanded) await this.#expand(next);
			level = next.level;
		}
		this.#mark(this.#all());
		const found = this.#item(group);
		if (found) {
			this.#tabbable(found);
			found.line.scrollIntoView({ block: "nearest" });
		}
	}

	#mark(items) {
		for (const item of items) {
			if (item.leaf) item.line.setAttribute("aria-selected", String(item.name === this.#current));
		}
	}

	*#all(level = this.#root) {
		for (const item of level?.items ?? []) {
			yield item;
			if (item.level) yield* this.#all(item.level);
		}
	}

	#item(group) {
		if (group === null) return null;
		for (const item of this.#all()) if (item.leaf && item.name === group) return item;
		return null;
	}

	// keys is how many keys a group has, as far as the tree knows; atLeast, that there are more.
	keys(group) { return this.#item(group)?.keys ?? null; }
	atLeast(group) { return this.#item(group)?.atLeast ?? true; }

	async #expand(item) {
		if (item.leaf || item.expanded) return;
		item.expanded = true;
		item.line.setAttribute("aria-expanded", "true");
		if (!item.level) {
			item.line.setAttribute("aria-busy", "true");
			try {
				item.level = await this.#level(item.name, null, item);
				item.children.replaceChildren(...item.level.items.map((child) => child.node), ...more(item.level));
				this.#measure(item.level);
			} catch (error) {
				item.expanded = false;
				item.line.setAttribute("aria-expanded", "false");
				this.#events.onerror(error);
			} finally {
				item.line.removeAttribute("aria-busy");
			}
		}
	}

	#collapse(item) {
		item.expanded = false;
		item.line.setAttribute("aria-expanded", "false");
	}

	async #more(level, node) {
		node.setAttribute("aria-busy", "true");
		try {
			const got = await this.#level(level.prefix, level.next, level.parent);
			for (const item of got.items) item.within = level;
			level.items.push(...got.items);
			level.next = got.next;
			level.most = Math.max(level.most, got.most);
			this.#measure(level);
			node.parentElement.replaceWith(...got.items.map((item) => item.node), ...more(level));
			this.#tabbable(got.items[0] ?? level.items.at(-1));
			got.items[0]?.line.focus();
		} catch (error) {
			this.#events.onerror(error);
		}
	}

	#onclick(event) {
		const node = event.target.closest("[role=treeitem]");
		if (!node) return;
		if (node.more) {
			this.#more(node.more, node);
			return;
		}
		this.#tabbable(node.item);
		node.focus();
		this.#act(node.item);
	}

	#act(item) {
		if (item.leaf) this.#events.onopen(item);
		else if (item.expanded) this.#collapse(item);
		else this.#expand(item);
	}

	#tabbable(item) {
		for (const node of $$("[tabindex='0']", this.#host)) node.tabIndex = -1;
		if (item) item.line.tabIndex = 0;
	}

	focus() {
		const node = $("[tabindex='0']", this.#host) ?? $("[role=treeitem]", this.#host);
		node?.focus();
	}

	#visible() { return $$("[role=treeitem]", this.#host).filter((node) => node.offsetParent); }

	#move(node) {
		if (!node) return;
		this.#tabbable({ line: node });
		node.focus();
		node.scrollIntoView({ block: "nearest" });
	}

	#onkey(event) {
		if (modified(event)) return;
		const node = event.target.closest("[role=treeitem]");
		if (!node) return;
		const visible = this.#visible();
		const at = visible.indexOf(node);
		const item = node.item;
		switch (event.key) {
			case "ArrowDown": case "j": this.#move(visible[at + 1]); break;
			case "ArrowUp": case "k": this.#move(visible[at - 1]); break;
			case "Home": this.#move(visible[0]); break;
			case "End": this.#move(visible.at(-1)); break;
			case "ArrowRight":
				if (node.more) break;
				if (item.leaf) this.#events.onopen(item, { enter: true });
				else if (!item.expanded) this.#expand(item);
				else this.#move(item.level?.items[0]?.line);
				break;
			case "ArrowLeft":
				if (item && !item.leaf && item.expanded) this.#collapse(item);
				else this.#move((item?.within ?? node.more).parent?.line);
				break;
			case "Enter": case " ":
				if (node.more) this.#more(node.more, node);
				else if (item.leaf) this.#events.onopen(item, { enter: event.key === "Enter" });
				else this.#act(item);
				break;
			default: return;
		}
		event.preventDefault();
		event.stopPropagation();
	}
}

function itemNode({ name, leaf, keys, atLeast, bytes, about }, level) {
	const rest = name.slice(level.prefix.length);
	const shown = show(rest, { most: 200 });
	if (rest === "" && name !== "") shown.textContent = "this group itself";
	const item = { id: (leaf ? "g" : "p") + name, name, leaf, keys, atLeast, bytes, about, expanded: false, level: null, within: level };
	item.text = el("span.figures");
	item.bar = el("span.share", { "aria-hidden": "true" });
	item.line = el("div.line", { role: "treeitem", tabindex: "-1", "aria-level": depth(level), title: label(name) },
		leaf ? icon("group") : icon("chevron"), el("span.name", {}, shown), item.text, item.bar);
	item.line.item = item;
	item.node = el("li", { role: "none" }, item.line);
	if (leaf) {
		item.line.setAttribute("aria-selected", "false");
	} else {
		item.line.setAttribute("aria-expanded", "false");
		item.children = el("ul", { role: "none" });
		item.node.append(item.children);
	}
	return item;
}

const depth = (level) => level.parent ? depth(level.parent.within) + 1 : 1;

function drawFigures(level) {
	level.most = Math.max(1, ...level.items.map((item) => item.keys ?? 0));
	for (const item of level.items) figures(item, level);
}

function figures(item, level) {
	const { keys, atLeast, bytes, about } = item;
	const word = (text) => el("span.hidden", {}, text);
	item.text.replaceChildren(
		el("span.keys", {}, word(", "), keys === null ? "…" : (atLeast ? "≥ " : "") + brief(keys), word(keys === 1 ? " key" : " keys")),
		el("span.bytes", {}, ...(bytes === null ? [] : [word(", "), (about ? "~" : "") + size(bytes)])));
	item.bar.style.setProperty("--share", Math.max(0, Math.min(1, (keys ?? 0) / level.most)));
}

function more(level) {
	if (level.next === null) return [];
	const line = el("div.line.more", { role: "treeitem", tabindex: "-1", "aria-level": depth(level) }, "Show more groups…");
	line.more = level;
	return [el("li", { role: "none" }, line)];
}
