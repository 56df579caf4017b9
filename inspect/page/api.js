// What the page asks of its program, in the page's own terms: byte strings for names and
// values, milliseconds for times. The routes are those of openapi.yaml.

import { fromJSON, fromText, percent, toArray } from "./names.js";

export class Problem extends Error {
	constructor(status, { code = "", detail = "", title = "", revision } = {}) {
		super(detail || title || `HTTP ${status}`);
		Object.assign(this, { status, code, revision });
	}
}

const PREVIEW = 120; // bytes of a value in a list
export const SHOWN = 256 * 1024; // bytes of a value that is looked at

export class API {
	#token = null;
	#base = new URL(".", document.baseURI);
	ontoken = async () => null; // asks for a token; null: there is none to be had

	set token(token) { this.#token = token; }

	#headers(more = {}) { return this.#token ? { ...more, Authorization: `Bearer ${this.#token}` } : more; }

	async #send(path, { method = "GET", headers = {}, body, signal } = {}) {
		for (;;) {
			const token = this.#token;
			const response = await fetch(new URL(path, this.#base), {
				method, body, signal, headers: this.#headers(headers), cache: "no-store", credentials: "same-origin", redirect: "error",
			});
			if (response.ok) return response;
			const problem = new Problem(response.status, await response.json().catch(() => ({})));
			if (response.status !== 401) throw problem;
			if (token === this.#token && (await this.ontoken(token !== null)) === null) throw problem;
		}
	}

	async #json(path, parameters = {}, options = {}) {
		return (await this.#send(path + query(parameters), options)).json();
	}

	async info() {
		const info = await this.#json("ui/info");
		return { ...info, now: Date.parse(info.now) };
	}

	async groups(prefix, cursor) {
		const got = await this.#json("ui/tree", { prefix, cursor, limit: 200 });
		return { items: got.nodes.map(node), next: got.cursor ?? null };
	}

	async count(of) { return extent(await this.#json("ui/count", of)); }

	async keys(group, { prefix = "", cursor = null, skip = 0, limit, signal }) {
		const rows = [];
		let skipped = 0;
		let next = cursor;
		do { // a page may be shorter than asked for, where values are large
			const got = await this.#json("v1/" + segment(group), {
				prefix, cursor: next, limit: limit - rows.length, max_value: PREVIEW, skip: skip - skipped || null,
			}, { signal });
			rows.push(...got.keys.map(entry));
			skipped += got.skipped ?? 0;
			next = got.cursor ?? null;
		} while (next !== null && rows.length < limit);
		return { rows, next, skipped };
	}

	// entry is a key with its value, null if it is not there.
	async entry(group, key, most = SHOWN) {
		try {
			return entry(await this.#json("ui/entry/" + path(group, key), { max_value: most }));
		} catch (error) {
			if (error.status === 404) return null;
			throw error;
		}
	}

	async history(group, key) {
		const got = await this.#json("ui/history/" + path(group, key), { limit: 200, max_value: 65536 });
		return { events: got.events.map(change), complete: got.complete, oldest: got.oldest_revision };
	}

	async search(q, { cursor = null, signal } = {}) {
		const got = await this.#json("ui/search", { q, cursor, limit: 12 }, { signal });
		return {
			groups: got.groups.map((group) => fromJSON(group, "group")),
			keys: got.keys.map((key) => ({ group: fromJSON(key, "group"), key: fromJSON(key, "key") })),
			next: got.cursor ?? null,
		};
	}

	// set writes a key if it has that revision still; null: if it is not there.
	async set(group, key, value, { revision, ttl = null, expires = null }) {
		const parameters = expires ? { expires_at: new Date(expires).toISOString() } : { ttl };
		const response = await this.#send("v1/" + path(group, key) + query(parameters), {
			method: "PUT",
			headers: revision === null ? { "If-None-Match": "*" } : { "If-Match": `"${revision}"` },
			body: toArray(value),
		});
		return Number(response.headers.get("Go-Store-Revision"));
	}

	async touch(group, key, { revision, ttl }) {
		await this.#send("v1/" + path(group, key) + query({ ttl }), {
			method: "PATCH", headers: { "If-Match": `"${revision}"` },
		});
	}

	async remove(group, key, { revision }) {
		await this.#send("v1/" + path(group, key), { method: "DELETE", headers: { "If-Match": `"${revision}"` } });
	}

	namespaces() { return this.#json("ui/namespaces"); }
	metrics() { return this.#json("ui/metrics"); }

	async listeners() {
		const got = await this.#json("ui/listeners");
		for (const listener of got.listeners) {
			for (const field of ["group", "key"]) listener[field].name = fromJSON(listener[field], "name");
		}
		return got;
	}

	// stream is what was committed behind the event with that id.
	stream(last, signal) {
		return this.#send("v1/watch?max_value=2048", { signal, headers: { Accept: "text/event-stream", "Last-Event-ID": last } });
	}

	// event is one of a stream, in the page's terms; null if it says nothing.
	event({ event, data }) {
		if (!data) return null;
		const got = JSON.parse(data);
		switch (event) {
			case "set": case "delete": case "delete_group": case "expire": return change(got);
			case "gap": return { type: "gap", revision: got.to, from: got.from, to: got.to, reason: got.reason };
			case "open": case "progress": case "synced": return { type: "progress", revision: got.revision };
			case "error": throw new Problem(503, got);
			default: return null;
		}
	}
}

// segment is a name in a path; in base64url where it might be taken for something else.
export function segment(bytes) {
	if (/^(?!watch$)[\w~:-][\w.~:-]*$/.test(bytes)) return bytes;
	return "," + btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const path = (group, key) => segment(group) + "/" + segment(key);

const named = new Set(["prefix", "q", "group"]); // parameters that are byte strings

function query(parameters) {
	const parts = [];
	for (const [name, value] of Object.entries(parameters)) {
		if (value === null || value === undefined || value === "" && name !== "group") continue;
		parts.push(`${name}=${named.has(name) ? percent(value) : percent(fromText(String(value)))}`);
	}
	return parts.length ? "?" + parts.join("&") : "";
}

const time = (object, plain, milliseconds) =>
	object[plain] ? Date.parse(object[plain]) : object[milliseconds] ?? null;

function node(got) {
	return { name: fromJSON(got, "name"), leaf: got.group && !got.children, ...extent(got.extent) };
}

const extent = (got) => got
	? { keys: got.keys, atLeast: !got.keys_exact, bytes: got.bytes, about: !got.bytes_exact }
	: { keys: null, atLeast: false, bytes: null, about: false };

function entry(got) {
	return {
		group: fromJSON(got, "group"), key: fromJSON(got, "key"),
		revision: got.revision, size: got.size ?? null, expires: time(got, "expires_at", "expires_ms"),
		value: hasValue(got) ? fromJSON(got, "value") : null, cut: Boolean(got.truncated),
	};
}

const hasValue = (got) => got.value !== undefined || got.value_base64 !== undefined;

function change(got) {
	return { ...entry(got), type: got.type, time: time(got, "time", "time_ms") };
}
