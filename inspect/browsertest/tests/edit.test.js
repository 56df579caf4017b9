import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, browsing, held, key, open, serve, shown, treeItem } from "../harness.js";

browsing();

const value = async (server, path) => (await server.ask("GET", path)).text;

test("a value is edited, and keeps its expiry", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/k?ttl=1h", { body: "one\ntwo" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
	await page.getByRole("button", { name: "Edit" }).click();
	await page.getByLabel("The value", { exact: true }).fill("one\nthree");
	await accessible(page, "editor");
	await page.keyboard.press("Control+Enter");
	await page.locator("#entry .panel pre", { hasText: "three" }).waitFor();
	assert.equal(await value(server, "v1/g/k"), "one\nthree");
	await page.locator(".expiry", { hasText: /^in 59m/ }).waitFor();
});

test("who was first is shown, and nothing of theirs is lost by accident", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/k", { body: "start" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
	await shown(page).waitFor();
	await page.keyboard.press("e");
	await page.getByLabel("The value", { exact: true }).fill("mine");
	await server.ask("PUT", "v1/g/k", { body: "theirs" });
	await page.getByText("Somebody else has changed this key meanwhile.").waitFor();
	await page.getByRole("button", { name: "Save" }).click();
	const conflict = page.getByRole("alertdialog", { name: "Somebody else was first" });
	await conflict.waitFor();
	assert.deepEqual(await conflict.locator(".both pre").allTextContents(), ["mine", "theirs"]);
	assert.equal(await value(server, "v1/g/k"), "theirs");
	await accessible(page, "conflict");

	await conflict.getByRole("button", { name: "Go on editing" }).click();
	assert.equal(await page.getByLabel("The value", { exact: true }).inputValue(), "mine");
	await server.ask("PUT", "v1/g/k", { body: "theirs again" });
	await page.getByRole("button", { name: "Save" }).click();
	await conflict.waitFor();
	await conflict.getByRole("button", { name: "Write mine over it" }).click();
	await page.locator("#entry .panel pre", { hasText: /^mine$/ }).waitFor();
	assert.equal(await value(server, "v1/g/k"), "mine");
});

// What was typed is what is saved, whatever the other program has written meanwhile.
for (const [as, { before, label, typed, theirs, saved }] of Object.entries({
	text: { before: "start", label: "The value", typed: "cafe", theirs: "\xff\xfe", saved: "cafe" },
	hex: { before: "a\r\nb", label: "The value, in hex", typed: "63 61 66 65", theirs: "theirs", saved: "cafe" },
})) {
	test(`what was typed as ${as} is ${as} still when editing goes on`, async (t) => {
		const server = await serve(t, "-fill", "empty", "-write");
		await server.ask("PUT", "v1/g/k", { body: before });
		const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
		await shown(page).waitFor();
		await page.keyboard.press("e");
		await page.getByLabel(label, { exact: true }).fill(typed);
		await server.ask("PUT", "v1/g/k", { body: Buffer.from(theirs, "latin1") });
		await page.keyboard.press("Control+Enter");
		await page.getByRole("button", { name: "Go on editing" }).click();
		assert.equal(await page.locator("textarea").inputValue(), typed);
		await page.keyboard.press("Control+Enter");
		await page.getByText("Saved.").waitFor();
		assert.equal(await value(server, "v1/g/k"), saved);
	});
}

test("to save twice is to save once", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/k", { body: "start" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
	await shown(page).waitFor();
	const puts = [];
	page.on("request", (request) => { if (request.method() === "PUT") puts.push(request.url()); });
	await page.keyboard.press("e");
	await page.getByLabel("The value", { exact: true }).fill("mine");
	const late = await held(page, "**/v1/g/k");
	await page.keyboard.press("Control+Enter");
	await late.asked;
	await page.keyboard.press("Control+Enter");
	await late.answer();
	await page.locator("#entry .panel pre", { hasText: /^mine$/ }).waitFor();
	assert.equal(puts.length, 1);
	assert.equal(await page.getByRole("alertdialog").count(), 0);
});

test("an editor opens for the key that is shown, or not at all", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/large", { body: "x".repeat(300_000) });
	await server.ask("PUT", "v1/g/other", { body: "v" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=large" });
	await page.getByText("These are the first").waitFor();
	const late = await held(page, "**/ui/entry/g/large?*");
	await page.keyboard.press("e");
	await late.asked;
	await key(page, "other").click();
	await page.locator("#entry h2", { hasText: "other" }).waitFor();
	await late.answer();
	assert.equal(await page.locator("textarea").count(), 0);
});

test("theirs can be taken, and a key that is gone written anew", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/k", { body: "start" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
	await shown(page).waitFor();
	await page.keyboard.press("e");
	await page.getByLabel("The value", { exact: true }).fill("mine");
	await server.ask("PUT", "v1/g/k", { body: "theirs" });
	await page.keyboard.press("Control+Enter");
	await page.getByRole("button", { name: "Take theirs" }).click();
	await page.locator("#entry .panel pre", { hasText: /^theirs$/ }).waitFor();

	await page.keyboard.press("e");
	await page.getByLabel("The value", { exact: true }).fill("mine");
	await server.ask("DELETE", "v1/g/k");
	await page.getByRole("button", { name: "Save" }).click();
	await page.getByText("The key was deleted, or has expired").waitFor();
	await page.getByRole("button", { name: "Write mine over it" }).click();
	await page.locator("#entry .panel pre", { hasText: /^mine$/ }).waitFor();
	assert.equal(await value(server, "v1/g/k"), "mine");
});

test("delete and touch hold for what was seen only", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/k", { body: "v" });
	await server.ask("PUT", "v1/g/other", { body: "v" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
	await page.getByRole("button", { name: "Expiry" }).click();
	await page.getByLabel("From now on it").selectOption("1h");
	await accessible(page, "touch");
	await page.getByRole("button", { name: "Set", exact: true }).click();
	await page.locator(".expiry", { hasText: /^in (59m|1h)/ }).waitFor();

	await page.getByRole("button", { name: "Delete" }).click();
	await page.getByRole("dialog", { name: "Delete this key?" }).waitFor();
	await accessible(page, "delete");
	await server.ask("PUT", "v1/g/k", { body: "newer" });
	await page.locator("#entry .panel pre", { hasText: "newer" }).waitFor();
	await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
	assert.equal(await value(server, "v1/g/k"), "newer");
	await page.getByRole("button", { name: "Delete" }).click();
	await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
	await page.getByText("This key was deleted.").waitFor();
	assert.equal((await server.ask("GET", "v1/g/k")).status, 404);
});

test("a new key is written, and none that is there", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	const page = await open(t, server);
	await page.keyboard.press("n");
	await page.getByLabel("Group", { exact: true }).fill("fresh");
	await page.locator("#new-key").fill("a/b");
	await page.getByRole("button", { name: "Write its value" }).click();
	await page.getByLabel("The value", { exact: true }).fill("first");
	await page.getByRole("button", { name: "Save" }).click();
	await page.locator("#entry .panel pre", { hasText: /^first$/ }).waitFor();
	assert.equal(await value(server, "v1/fresh/a%2Fb"), "first");
	await treeItem(page, "fresh").waitFor();
	await key(page, "a/b").waitFor();
});

test("bytes that are no text are edited as bytes", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/crlf", { body: "a\r\nb" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=crlf" });
	await shown(page).waitFor();
	await page.keyboard.press("e");
	assert.equal(await page.getByLabel("The value, in hex").inputValue(), "61 0d 0a 62");
	await page.getByLabel("The value, in hex").fill("61 0d 0a 6");
	await page.getByRole("button", { name: "Save" }).click();
	await page.getByText("That is not hex").waitFor();
	await page.getByLabel("The value, in hex").fill("ff0d0a63");
	await page.getByRole("button", { name: "Save" }).click();
	await page.locator("#entry .panel pre.hex", { hasText: "ff 0d 0a 63" }).waitFor();
});

test("what was typed is not lost by going elsewhere", async (t) => {
	const server = await serve(t, "-fill", "empty", "-write");
	await server.ask("PUT", "v1/g/k", { body: "v" });
	await server.ask("PUT", "v1/g/l", { body: "v" });
	const page = await open(t, server, { hash: "#/browse?g=g&k=k" });
	await shown(page).waitFor();
	await page.keyboard.press("e");
	await page.getByLabel("The value", { exact: true }).fill("typed");
	await key(page, "l").click();
	await page.getByRole("dialog", { name: "Leave without saving?" }).waitFor();
	await page.getByRole("button", { name: "Go on editing" }).click();
	assert.equal(await page.getByLabel("The value", { exact: true }).inputValue(), "typed");
	await key(page, "l").click();
	await page.getByRole("button", { name: "Leave" }).click();
	await page.locator("#entry h2", { hasText: /^l$/ }).waitFor();
});

test("read-only is read-only", async (t) => {
	const server = await serve(t);
	const page = await open(t, server, { hash: "#/browse?g=config&k=theme" });
	await shown(page).waitFor();
	await page.getByText("read-only", { exact: true }).waitFor();
	for (const name of ["Edit", "Expiry", "Delete", "New key"]) assert.equal(await page.getByRole("button", { name }).count(), 0, name);
	await page.locator("#keys").focus();
	for (const pressed of ["e", "t", "n", "Delete"]) await page.keyboard.press(pressed);
	assert.equal(await page.locator("dialog[open], textarea").count(), 0);
});
