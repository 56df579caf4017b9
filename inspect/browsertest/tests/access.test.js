import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, browsing, open, serve, shown } from "../harness.js";

browsing();

test("a token is asked for, and kept in the tab alone", async (t) => {
	const server = await serve(t, "-token", "open-sesame");
	const page = await open(t, server, { ready: false, hash: "#/browse?g=config&k=theme" });
	const dialog = page.getByRole("dialog", { name: "A token is needed" });
	await dialog.waitFor();
	await accessible(page, "token");
	await dialog.getByLabel("Token").fill("wrong");
	await page.keyboard.press("Enter");
	await dialog.getByText("That is not the token.").waitFor();
	await dialog.getByLabel("Token").fill("open-sesame");
	await dialog.getByRole("button", { name: "Go on" }).click();
	await page.getByText("live", { exact: true }).waitFor();
	assert.equal(await shown(page).textContent(), "dark");
	await page.reload();
	await page.locator("#entry .panel pre", { hasText: "dark" }).waitFor();
	assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie, location.href.includes("sesame")]), [0, "", false]);
	const other = await page.context().newPage();
	await other.goto(server.url);
	await other.getByRole("dialog", { name: "A token is needed" }).waitFor();
	await other.close();
});

test("a token behind the address is taken, and taken away from there", async (t) => {
	const server = await serve(t, "-token", "open-sesame");
	const page = await open(t, server, { hash: "#token=open-sesame" });
	assert.ok(!page.url().includes("sesame"), page.url());
	await page.getByRole("treeitem", { name: /^config/ }).waitFor();
});

test("a token that is not percent-encoded is taken as it stands", async (t) => {
	const server = await serve(t, "-token", "50%off");
	for (const hash of ["#token=50%off", "#token=50%25off"]) {
		const page = await open(t, server, { hash });
		await page.getByRole("treeitem", { name: /^config/ }).waitFor();
	}
});

test("without a token nothing is shown", async (t) => {
	const server = await serve(t, "-token", "open-sesame");
	const page = await open(t, server, { ready: false });
	await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
	await page.locator("#start").waitFor();
	assert.match(await page.locator("#start").textContent(), /token/);
	assert.equal(await page.locator("[role=treeitem]").count(), 0);
	await accessible(page, "refused");
	await page.getByRole("button", { name: "Try again" }).click();
	await page.getByRole("dialog", { name: "A token is needed" }).waitFor();
});

test("the policy runs nothing that is not the page's", async (t) => {
	const server = await serve(t);
	const response = await fetch(server.url);
	const policy = response.headers.get("content-security-policy");
	assert.match(policy, /default-src 'none'/);
	assert.doesNotMatch(policy, /unsafe|\*/);
});
