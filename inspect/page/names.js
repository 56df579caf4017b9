// Names and values of a store are bytes. A "byte string" is a JavaScript string with one
// character (U+0000 to U+00FF) a byte: it compares, begins and is cut as the bytes do.

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const CHUNK = 8192;

export function fromArray(array) {
	let text = "";
	for (let i = 0; i < array.length; i += CHUNK) text += String.fromCharCode(...array.subarray(i, i + CHUNK));
	return text;
}

export function toArray(bytes) {
	const array = new Uint8Array(bytes.length);
	for (let i = 0; i < bytes.length; i++) array[i] = bytes.charCodeAt(i);
	return array;
}

export const fromText = (text) => fromArray(encoder.encode(text));

// toText is the text that the bytes encode, null if they are no UTF-8.
export function toText(bytes) {
	try {
		return decoder.decode(toArray(bytes));
	} catch {
		return null;
	}
}

// fromJSON reads the field as the store's JSON has it: the text itself, or field_base64
// where it is no UTF-8.
export function fromJSON(object, field) {
	if (typeof object[field] === "string") return fromText(object[field]);
	const encoded = object[field + "_base64"];
	return typeof encoded === "string" ? atob(encoded) : "";
}

// percent is a byte string for a query.
export function percent(bytes) {
	let text = "";
	for (let i = 0; i < bytes.length; i++) {
		const char = bytes[i];
		text += /[A-Za-z0-9_.~-]/.test(char) ? char : "%" + bytes.charCodeAt(i).toString(16).toUpperCase().padStart(2, "0");
	}
	return text;
}

export function fromPercent(text) {
	return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}

// What would not show, or would change the direction or the place of what stands around it.
// Joiners and variation selectors behind a letter or a picture belong to it.
const formats = "\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180E\\u200B\\u200E\\u200F\\u2028-\\u202E" +
	"\\u2060-\\u206F\\u3164\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\u{E0000}-\\u{E0FFF}";
const joiners = "(?<![\\u0080-\\u{10FFFF}])[\\u200C\\u200D\\uFE00-\\uFE0F]";
const unseen = new RegExp(`[\\u0000-\\u001F${formats}]|${joiners}`, "gu");
const unseenButLines = new RegExp(`[\\u0000-\\u0008\\u000B-\\u001F${formats}]|${joiners}`, "gu");
const short = { "\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function token(text) {
	if (short[text]) return short[text];
	return "U+" + text.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
}

// visible is nodes for a text, with tokens for what would not show in it.
export function visible(text, lines = true) {
	if (text.search(lines ? unseenButLines : unseen) < 0) return [text];
	const nodes = [];
	for (const [piece, isToken] of tokened(text, lines)) nodes.push(isToken ? mark(piece) : piece);
	return nodes;
}

function mark(text) {
	const node = document.createElement("span");
	node.className = "token";
	node.textContent = text;
	return node;
}

// pieces cuts bytes into [text, isToken]: tokens stand for what can't be shown as it is.
function* pieces(bytes, lines) {
	const text = toText(bytes);
	if (text === null) {
		yield* broken(bytes);
		return;
	}
	yield* tokened(text, lines);
}

function* tokened(text, lines) {
	let at = 0;
	for (const found of text.matchAll(lines ? unseenButLines : unseen)) {
		if (found.index > at) yield [text.slice(at, found.index), false];
		yield [token(found[0]), true];
		at = found.index + found[0].length;
	}
	if (at < text.length) yield [text.slice(at), false];
}

// broken is for bytes that are no UTF-8: ASCII as it is, every other byte as \xNN.
function* broken(bytes) {
	for (const [run] of bytes.matchAll(/[\x20-\x7E]+|[^\x20-\x7E]/g)) {
		const code = run.charCodeAt(0);
		if (run.length > 1 || (code >= 0x20 && code <= 0x7e)) yield [run, false];
		else yield ["\\x" + code.toString(16).padStart(2, "0"), true];
	}
}

// show is a node for bytes: text alone, never markup.
export function show(bytes, { lines = false, most = 4096 } = {}) {
	const node = document.createElement("bdi");
	if (bytes === "") {
		node.className = "nothing";
		node.textContent = "empty";
		return node;
	}
	let whole = bytes;
	if (bytes.length > most) whole = cut(bytes, most);
	for (const [text, isToken] of pieces(whole, lines)) {
		node.append(isToken ? mark(text) : text);
	}
	if (bytes.length > most) node.append("…");
	return node;
}

// label is the same as plain text, for titles and for people who hear the page.
export function label(bytes, most = 200) {
	if (bytes === "") return "empty name";
	let text = "";
	for (const [piece] of pieces(cut(bytes, most), false)) text += piece;
	return bytes.length > most ? text + "…" : text;
}

// cut is at most so many bytes, without the half of a character at the end.
export function cut(bytes, most) {
	if (bytes.length <= most) return bytes;
	let end = most;
	for (let back = 0; back < 3 && end > 0 && (bytes.charCodeAt(end) & 0xc0) === 0x80; back++) end--;
	return bytes.slice(0, end);
}
