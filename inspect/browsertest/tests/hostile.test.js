import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, browsing, open, serve, shown } from "../harness.js";

browsing();

const percent = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16));

test("markup is text, wherever it comes from", async (t) => {
	const server = await serve(t, "-fill", "hostile", "-write");
	const markup = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>`;
	const page = await open(t, server, { hash: `#/browse?g=${percent(markup)}&k=${percent(markup)}` });
	assert.equal(await shown(page).textContent(), markup);
	assert.equal(await page.locator("#entry h2").textContent(), markup);
	assert.equal(await page.locator("#tree img, #keys img, #entry img, main script").count(), 0);
	await page.getByRole("tab", { name: "History" }).click();
	await page.locator(".change").first().waitFor();
	await page.getByRole("link", { name: "Changes" }).click();
	await server.ask("PUT", `v1/${percent(markup)}/${percent(markup)}`, { body: markup });
	await page.locator("#changes-list li").first().waitFor();
	assert.match(await page.locator("#changes-list li").first().textContent(), /<script>/);
	assert.equal(await page.locator("main img, main script").count(), 0);
	await page.keyboard.press("/");
	await page.keyboard.type("<img");
	await page.getByRole("option", { name: /^group.*<img/ }).waitFor();
	await page.keyboard.press("Escape");
	assert.notEqual(await page.title(), "run");
});

test("every group and key of the collection can be opened", async (t) => {
	const server = await serve(t, "-fill", "hostile");
	const page = await open(t, server);
	const rows = [["", "", "empty name"], [".", ".."], ["..", "."], ["a/b", "c/d"], ["a%2Fb", "c%2Fd"], [",", ",x"], ["watch", "watch"], ["\0", "\0\x01", "\\0U+0001"],
		["line\nend", "tab\tCR\r\n", "tab\\tCR\\r\\n"], ["\u202eevil", "\u202egnp.exe", "U+202Egnp.exe"], ["שלום", "مرحبا"], ["zero\u200bwidth", "\ufeffbom", "U+FEFFbom"],
		["emoji", "👩‍👩‍👧‍👦"], ["__proto__", "constructor"], ["long", "k".repeat(10_000), "k".repeat(200) + "…"], ["g".repeat(10_000), "k"]];
	for (const [group, name, title = name] of rows) {
		await page.goto(`${server.url}#/browse?g=${percent(group)}&k=${percent(name)}`);
		await page.locator(`#entry:has(h2[title=${JSON.stringify(title)}]) .facts`).waitFor();
		await page.locator("#keys .row[aria-selected=true]:not(.waiting)").waitFor();
	}
	await page.goto(`${server.url}#/browse?g=%ff%fe&k=%c3`);
	await page.locator("#entry h2", { hasText: "\\xc3" }).waitFor();
	assert.match(await shown(page).textContent(), /^00000000 {2}ff fe fd 20/);
});

test("what would not show is shown, and what turns the text around does not", async (t) => {
	const server = await serve(t, "-fill", "hostile");
	const page = await open(t, server, { hash: `#/browse?g=${percent("\u202eevil")}&k=${percent("\u202egnp.exe")}` });
	assert.equal(await page.locator("#entry h2").textContent(), "U+202Egnp.exe");
	assert.equal(await shown(page).textContent(), "abcU+202Edef U+2066xU+2069");
	await page.goto(`${server.url}#/browse?g=emoji&k=${percent("👩‍👩‍👧‍👦")}`);
	await page.locator("#entry h2", { hasText: /^👩‍👩‍👧‍👦$/ }).waitFor();
	await page.goto(`${server.url}#/browse?g=${percent("שלום")}&k=${percent("مرحبا")}`);
	await page.locator("#entry .panel pre", { hasText: "بالعالم" }).waitFor();
	await accessible(page, "right to left");
});

test("large values are shown in parts", { timeout: 150_000 }, async (t) => {
	const server = await serve(t, "-fill", "hostile");
	const page = await open(t, server, { hash: "#/browse?g=big&k=line" });
	await page.getByText("These are the first 256 KiB of 3.0 MiB.").waitFor();
	for (const name of ["json", "lines", "deep", "numbers"]) {
		const began = performance.now();
		await page.goto(`${server.url}#/browse?g=big&k=${name}`);
		await page.locator("#entry h2", { hasText: name }).waitFor();
		await shown(page).waitFor();
		assert.ok(performance.now() - began < 20_000, `${name} takes ${performance.now() - began} ms`);
	}
	assert.equal(await shown(page).textContent(), '{\n  "n": 12345678901234567890,\n  "n": 1e400\n}');
	await page.goto(`${server.url}#/browse?g=big&k=lines`);
	await page.getByRole("button", { name: "Show all of it" }).click();
	await page.waitForFunction(() => document.querySelector("#entry pre")?.textContent.length === 2_100_000);
});
