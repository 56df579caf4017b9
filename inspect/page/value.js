// How a value is shown: as text, as JSON with its parts told apart, or as bytes.

import { el, region } from "./dom.js";
import { show, toText, visible } from "./names.js";

const MOST_PRETTY = 400_000; // characters of JSON that are told apart
const HEX_LINES = 512; // at a time
const DEEPEST = 64; // levels of JSON that are indented: what is deeper is shown as it is

export function kinds(bytes) {
	const text = toText(bytes);
	const json = text !== null && /^\s*[[{"]/.test(text) ? pretty(text) : null;
	return { text, json, best: json !== null ? "json" : text !== null ? "text" : "hex" };
}

// pretty is the JSON with its lines and indents, null if it is none. It goes by the text,
// not by JSON.parse's values: large numbers, and members that are there twice, stay.
export function pretty(text) {
	if (text.length > 4 * MOST_PRETTY) return null;
	try {
		JSON.parse(text);
	} catch {
		return null;
	}
	const out = [];
	let depth = 0;
	let opened = false; // nothing stands in the innermost object or list yet
	const line = () => out.push("\n" + "  ".repeat(depth));
	for (const [token] of text.matchAll(tokens)) {
		if (/^\s/.test(token)) continue;
		if (token === "}" || token === "]") {
			depth--;
			if (!opened) line();
			opened = false;
			out.push(token);
			continue;
		}
		if (opened) line();
		opened = token === "{" || token === "[";
		if (opened && ++depth > DEEPEST) return null;
		out.push(token === ":" ? ": " : token);
		if (token === ",") line();
	}
	return out.join("");
}

const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]|\s+/g;

// node shows them; what names them is for people who hear the page.
export function node(bytes, { text, json }, mode, what = "Value") {
	if (bytes === "") return el("p.quiet", {}, "The value is empty.");
	if (mode === "json" && json !== null) return jsonNode(json, what);
	if (mode === "hex" || text === null) return hexNode(bytes, what);
	const pre = region("pre.text", what + " as text", show(bytes, { lines: true, most: Infinity }));
	pre.dir = "auto";
	return pre;
}

function jsonNode(json, what) {
	const pre = region("pre.json", what + " as JSON");
	if (json.length > MOST_PRETTY) {
		pre.append(...visible(json));
		return pre;
	}
	const found = [...json.matchAll(tokens)].map(([token]) => token);
	for (const [i, token] of found.entries()) {
		const first = token[0];
		let kind = "";
		if (first === '"') kind = found[i + 1] === ":" ? "j-name" : "j-string";
		else if (/[-\d]/.test(first)) kind = "j-number";
		else if (/[tfn]/.test(first)) kind = "j-word";
		else if (/\S/.test(first)) kind = "j-mark";
		if (kind === "") pre.append(token);
		else pre.append(el("span." + kind, {}, ...visible(token)));
	}
	return pre;
}

function hexNode(bytes, what) {
	const pre = region("pre.hex", what + " as bytes");
	let at = 0;
	const more = el("button.more");
	const add = () => {
		const lines = [];
		for (const end = at + HEX_LINES * 16; at < end && at < bytes.length; at += 16) lines.push(hexLine(bytes, at));
		pre.append(lines.join(""));
		more.textContent = `Show more (${Math.ceil((bytes.length - at) / 1024)} KiB are left)`;
		more.hidden = at >= bytes.length;
	};
	more.addEventListener("click", add);
	add();
	return el("div.hexview", {}, pre, more);
}

function hexLine(bytes, at) {
	const part = bytes.slice(at, at + 16);
	let hex = "";
	let text = "";
	for (let i = 0; i < 16; i++) {
		const code = part.charCodeAt(i);
		hex += i < part.length ? code.toString(16).padStart(2, "0") + " " : "   ";
		if (i === 7) hex += " ";
		if (i < part.length) text += code >= 0x20 && code <= 0x7e ? part[i] : "·";
	}
	return `${at.toString(16).padStart(8, "0")}  ${hex} ${text}\n`;
}

// hexDump is all of the bytes in a form that can be edited, and fromHex reads it back.
export function hexDump(bytes) {
	let text = "";
	for (let i = 0; i < bytes.length; i++) {
		text += bytes.charCodeAt(i).toString(16).padStart(2, "0") + (i % 16 === 15 ? "\n" : " ");
	}
	return text.trimEnd();
}

export function fromHex(text) {
	const digits = text.replace(/\s+/g, "");
	if (digits.length % 2 || /[^0-9a-fA-F]/.test(digits)) return null;
	let bytes = "";
	for (let i = 0; i < digits.length; i += 2) bytes += String.fromCharCode(parseInt(digits.slice(i, i + 2), 16));
	return bytes;
}
