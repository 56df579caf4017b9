// The view of namespaces: what each holds, beside its quota.

import { $, count, el, plural } from "./dom.js";
import { meter } from "./metrics.js";

export class Namespaces {
	#api;
	#events; // onopen(namespace), onerror(error)

	constructor(api, events) {
		this.#api = api;
		this.#events = events;
	}

	async load() {
		const list = $("#spaces-list");
		try {
			const { namespaces, uncounted, more } = await this.#api.namespaces();
			$("#spaces-empty").hidden = namespaces.length > 0 || uncounted.length > 0;
			const most = { keys: Math.max(1, ...namespaces.map(({ keys }) => keys)), groups: Math.max(1, ...namespaces.map(({ groups }) => groups)) };
			list.replaceChildren(...namespaces.map((space) => this.#card(space, most)));
			$("#spaces-more").replaceChildren(...(uncounted.length ? [el("h2", {}, "Not counted yet"),
				el("p.quiet", {}, "The store counts a namespace from the first write under a quota on, or when a program asks for its usage."),
				el("ul.chips", {}, ...uncounted.map((name) => el("li", {}, this.#link(name)))), more ? el("p.quiet", {}, "And more.") : ""] : []));
		} catch (error) {
			this.#events.onerror(error);
		}
	}

	#link(name) {
		return el("button.link", { title: "Show its groups", onclick: () => this.#events.onopen(name) }, name);
	}

	#card({ namespace, keys, groups, max_keys: maxKeys, max_groups: maxGroups }, most) {
		return el("li.card", {}, el("h2", {}, this.#link(namespace)),
			bar("Keys", keys, maxKeys, most.keys), bar("Groups", groups, maxGroups, most.groups));
	}
}

function bar(name, used, limit, most) {
	const part = limit ? used / limit : used / most;
	const node = meter(limit ? part : Math.min(part, 0.79));
	if (!limit) node.classList.add("unlimited");
	const left = limit ? ` · ${used >= limit ? "none left" : `${count(limit - used)} left`}` : "";
	return el("div.quota", {}, el("div.said", {}, el("span", {}, name),
		el("span.number", {}, limit ? `${count(used)} of ${count(limit)}${left}` : `${plural(used, name.toLowerCase().replace(/s$/, ""))}, no limit`)), node);
}
