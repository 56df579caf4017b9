// Differences between two texts, by lines (Myers, the greedy algorithm), and within a
// changed line by what its two forms begin and end with.

const MOST_LINES = 4000;
const MOST_EDITS = 1500;

// lines is a list of [kind, text]: "same", "gone", "new"; null if they are too large, or
// too different, to be compared in good time.
export function lines(before, after) {
	const a = before.split("\n");
	const b = after.split("\n");
	if (a.length > MOST_LINES || b.length > MOST_LINES) return null;
	let start = 0;
	while (start < a.length && start < b.length && a[start] === b[start]) start++;
	let end = 0;
	while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
	const middle = myers(a.slice(start, a.length - end), b.slice(start, b.length - end));
	if (middle === null) return null;
	return [
		...a.slice(0, start).map((line) => ["same", line]),
		...middle,
		...a.slice(a.length - end).map((line) => ["same", line]),
	];
}

function myers(a, b) {
	const most = Math.min(a.length + b.length, MOST_EDITS);
	const furthest = new Map([[1, 0]]);
	const trace = [];
	for (let d = 0; d <= most; d++) {
		trace.push(new Map(furthest));
		for (let k = -d; k <= d; k += 2) {
			const down = k === -d || k !== d && furthest.get(k - 1) < furthest.get(k + 1);
			let x = down ? furthest.get(k + 1) : furthest.get(k - 1) + 1;
			let y = x - k;
			while (x < a.length && y < b.length && a[x] === b[y]) {
				x++;
				y++;
			}
			furthest.set(k, x);
			if (x >= a.length && y >= b.length) return script(trace, a, b, d);
		}
	}
	return null;
}

function script(trace, a, b, edits) {
	const result = [];
	let x = a.length;
	let y = b.length;
	for (let d = edits; d >= 0; d--) {
		const furthest = trace[d];
		const k = x - y;
		const down = k === -d || k !== d && furthest.get(k - 1) < furthest.get(k + 1);
		const previous = down ? k + 1 : k - 1;
		const px = furthest.get(previous) ?? 0;
		const py = px - previous;
		while (x > px && y > py && x > 0 && y > 0) {
			x--;
			y--;
			result.push(["same", a[x]]);
		}
		if (d === 0) break;
		if (down) {
			y--;
			result.push(["new", b[y]]);
		} else {
			x--;
			result.push(["gone", a[x]]);
		}
	}
	return result.reverse();
}

// within cuts two forms of a line into [before, changed, after] each.
export function within(gone, fresh) {
	let start = 0;
	while (start < gone.length && start < fresh.length && gone[start] === fresh[start]) start++;
	let end = 0;
	while (end < gone.length - start && end < fresh.length - start && gone.at(-1 - end) === fresh.at(-1 - end)) end++;
	const cut = (text) => [text.slice(0, start), text.slice(start, text.length - end), text.slice(text.length - end)];
	return [cut(gone), cut(fresh)];
}
