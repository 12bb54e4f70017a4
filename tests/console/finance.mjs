// Follows docs/finance.md in Chromium, section by section; axe looks at each page on the way. Ends with "all of it", or
// says which step is otherwise than the page. Arguments: the folder of node_modules, a JSON object {url, name, password,
// farthing, server, key, folder, pictures}.
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import assert from "node:assert/strict";

const [modules, text] = process.argv.slice(2);
const asked = JSON.parse(text);
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const environment = { ...process.env, FARTHING_SERVER: asked.server, FARTHING_KEY: asked.key };
const farthing = (...words) => execFileSync(asked.farthing, words, { env: environment, encoding: "utf8" });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
// The console's own policy lets no script in that is not its own, axe neither.
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, bypassCSP: true });
const page = await context.newPage();

const main = () => page.locator("main").innerText();
async function says(...words) {
  const said = (await main()).replace(/\s+/g, " ");
  for (const word of words) assert.ok(said.includes(word), `no "${word}" in: ${said}`);
}
async function look(name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" "))}`), [], name);
  if (asked.pictures) await page.screenshot({ path: `${asked.pictures}/${name}.png`, fullPage: true });
  console.log(name);
}
const button = (name) => page.locator("main").getByRole("button", { name, exact: true }).first();
const link = (name) => page.locator("main").getByRole("link", { name, exact: true }).first();
const way = (name) => page.locator("header nav").getByRole("link", { name, exact: true }).click();
/** Opens what asks first, fills its fields and sends it. */
async function act(name, fields, where = page.locator("main")) {
  const open = where.locator("details.act", { has: page.locator("summary", { hasText: new RegExp(`^${name}$`) }) }).first();
  await open.locator("summary").click();
  for (const [label, value] of Object.entries(fields)) await open.getByLabel(label).first().fill(value);
  await open.locator("button.main").click();
}
async function saved(locator) {
  const [download] = await Promise.all([page.waitForEvent("download"), locator.click()]);
  return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "latin1") };
}
/** What is left, as the table of payments says it. */
const left = async () => (await page.locator("tfoot tr.sum", { hasText: "Left" }).innerText()).replace(/\s+/g, " ").trim();
/** Loads the page again until it says this. */
async function until(words) {
  for (let tries = 0; tries < 600 && !(await main()).includes(words); tries++) await page.reload();
  await says(words);
}
async function filtered(fields) {
  await way("Bills");
  // Not the form that exports files, which is folded away below it.
  const form = page.locator("form.filter:not(details form)");
  for (const [label, value] of Object.entries(fields)) {
    const field = form.getByLabel(label);
    await ((await field.evaluate((one) => one.tagName)) === "SELECT" ? field.selectOption(value) : field.fill(value));
  }
  await form.getByRole("button").click();
}

try {
  // Begin
  await page.goto(asked.url);
  await page.getByLabel("Name").fill(asked.name);
  await page.getByLabel("Password").fill(asked.password);
  await look("sign-in");
  await page.getByRole("button", { name: "Sign in" }).click();

  // What needs attention
  await says("What needs attention", "Nothing.");
  farthing("clock", "advance", "--to", "2026-03-01T01:30:00Z");
  await page.reload();
  await says("Drafts");
  await look("home");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/console/bill?**");
  await page.keyboard.press("/");
  await page.keyboard.type("nordwind");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/console/customer?id=nordwind");
  await look("customer");
  await page.keyboard.press("g");
  await page.keyboard.press("b");
  await page.waitForURL("**/console/bills");

  // A draft
  await filtered({ Status: "draft", Customer: "nordwind", Month: "2026-02" });
  await look("drafts");
  await page.locator("main td a[data-row]").first().click();
  await says("Draft for Nordwind AG", "Against the last bill");
  const gone = page.locator("section", { hasText: "Against the last bill" }).locator("tr", { hasText: "output" }).first();
  assert.match(await gone.innerText(), /−/, "January's calls are gone");
  await look("draft");
  const draft = page.url();
  await page.locator("section.sheet a", { hasText: "seat" }).first().click();
  await says("The price, step by step", "Events", "added up again", "to the last digit");
  await look("line");
  await page.goto(draft);
  await link("Recompute").click();
  await says("All of it comes out again, to the last digit");
  await look("recomputed");

  // Approve, or hold
  await page.goto(draft);
  await act("Hold", { Reason: "ask the sales team" });
  await says("Held, until somebody", "ask the sales team");
  await look("held");
  await button("Release").click();
  await says("Released");
  await filtered({ Status: "draft", Customer: "aurora" });
  await page.locator("main td a[data-row]").first().click();
  await button("Approve").click();
  await says("Approved", "Invoice DEMO-");
  await filtered({ Status: "draft", Customer: "kestrel" });
  await page.locator("main input[type=checkbox]").first().check();
  await button("Approve the chosen drafts").click();
  await says("What came of it", "DEMO-");
  await look("approved");
  await page.goto(draft);
  await button("Issue now").click();
  await says("Issued. Its bytes never change from now on.", "Invoice DEMO-");
  await look("invoice");
  const title = await page.locator("h1").innerText();
  const number = title.match(/DEMO-\S+/)[0];
  const invoice = `${asked.server}/console/bill?id=${number}`;

  // Send
  await page.goto(invoice);
  assert.match((await saved(link("PDF"))).text, /^%PDF-1\.7/);
  assert.match((await saved(link("CSV"))).text, /^invoice,number/);
  assert.equal(JSON.parse((await saved(link("JSON"))).text).number, number);
  const electronic = page.locator("details.act", { has: page.locator("summary", { hasText: "E-invoice" }) });
  await electronic.locator("summary").click();
  await look("electronic");
  const ubl = await saved(link("EN 16931, UBL"));
  assert.equal(ubl.name, `${number}-en16931-ubl.xml`);
  assert.ok(ubl.text.includes(`<cbc:ID>${number}</cbc:ID>`));
  assert.ok((await saved(link("EN 16931, CII"))).text.includes("CrossIndustryInvoice"));
  await link("XRechnung 3.0, UBL").click();
  await says("the seller's contact", "contact: {", "in the catalog");
  await look("lacking");

  // Paid
  await page.goto(invoice);
  await act("Record a payment", { Amount: "50.00", Day: "2026-03-02", Reference: "bank 4711" });
  await says("The payment is written down.", "Partly paid", "bank 4711");
  await act("Record a payment", { Day: "2026-03-03", Reference: "bank 4712" });
  await says("Paid");
  assert.match(await left(), /^Left 0\.00 EUR/);
  await look("paid");
  const second = page.locator("tr", { hasText: "bank 4712" });
  await act("Take back", { Reason: "the direct debit came back" }, second);
  await says("Taken back, by an entry of its own.", "Partly paid");
  await act("Write off", { Reason: "insolvent" });
  await says("Written off");
  await look("written-off");
  await act("Take back", { Reason: "it came after all" }, page.locator("tr", { hasText: "insolvent" }));
  await says("Partly paid");

  // Credited
  await act("Credit", { "Reason: who": "outage", "Amount with tax": "11.90" });
  await says("The credit note is issued.", "Credit note DEMO-CN", "A credit note on");
  await look("credit-note");
  assert.match((await saved(link("PDF"))).text, /^%PDF/);
  await page.goto(invoice);
  await says("Credit notes: DEMO-CN");
  const credit = page.locator("details.act", { has: page.locator("summary", { hasText: /^Credit$/ }) }).first();
  await credit.locator("summary").click();
  await credit.getByLabel("Reason: who").fill("a line, wholly");
  await credit.locator("input[type=checkbox]").first().check();
  await look("credit");
  await credit.locator("button.main").click();
  await says("The credit note is issued.");
  await page.goto(invoice);
  await act("Void", { Reason: "wrong address" });
  await says("Voided:", "Void");
  await look("voided");
  await page.locator("main p", { hasText: "Credit notes:" }).locator("a").last().click();
  await act("Record a payment", { Day: "2026-03-04", Reference: "paid back" });
  await says("Paid");
  await way("Home");
  await says("Held", "wrong address");

  // What is on no bill
  const event = {
    specversion: "1.0", id: "late-1", source: "demo", type: "image.generated", subject: "newcomer",
    time: "2026-02-20T12:00:00Z", data: { count: "3", size: "small" },
  };
  writeFileSync(`${asked.folder}/events.ndjson`, JSON.stringify(event) + "\n");
  farthing("send", `${asked.folder}/events.ndjson`);
  await way("Leaks");
  await until("late-1");
  await says("What to do:", "newcomer");
  await page.locator("main details summary", { hasText: "Payload" }).click();
  await says("small");
  await look("leaks");

  // Who did what
  await way("Catalog");
  await says("Plan scale", "Version 1");
  const file = (await saved(link("As a catalog file"))).text;
  const dearer = file.replace(/amount: "?49(\.00)?"?/, "amount: 59.00");
  assert.notEqual(dearer, file, file);
  const newcomer = `
apiVersion: farthing/v1
customers: [{id: newcomer, name: Newcomer Ltd, address: {city: Cork, country: IE}, tax: reverse}]
subscriptions: [{id: s-newcomer, customer: newcomer, plan: scale, from: 2026-02-01, backfill: true}]
`;
  for (const [pasted, shown] of [[newcomer, "New: customer newcomer"], [dearer, "Changed: plan scale"]]) {
    await page.getByLabel("Catalog file (YAML)").fill(pasted);
    await button("Show what it changes").click();
    await says(shown);
    await look("change");
    await button("Put it in force").click();
    await says("The catalog is in force.");
  }
  await says("Version 2", "Version 1");
  await look("catalog");
  await page.goto(`${asked.server}/console/leaks?kind=parked`);
  await until("None.");
  await page.goto(invoice);
  await link("History").click();
  await says("Audit log", "user:demo");
  await look("history");
  await way("Audit");
  await says("apply plan", "user:demo");
  await look("audit");

  // People, each with what they may do
  const password = farthing("users", "create", "anna", "--role", "finance").trim().split(/\s/).pop();
  const other = await (await browser.newContext()).newPage();
  await other.goto(asked.url);
  await other.getByLabel("Name").fill("anna");
  await other.getByLabel("Password").fill(password);
  await other.getByRole("button", { name: "Sign in" }).click();
  const ways = await other.locator("header nav").innerText();
  assert.ok(ways.includes("Bills") && !ways.includes("Audit"), ways);
  farthing("users", "disable", "anna");
  await other.reload();
  assert.match(other.url(), /sign-in/, "at once");
  console.log("all of it");
} catch (error) {
  console.log(`not as the page says, at ${page.url()}:\n${error.stack}`);
} finally {
  await browser.close();
}
