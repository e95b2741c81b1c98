import { chromium } from "playwright-core";
const [, , url, ...which] = process.argv;
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const kinds = {
  light: { viewport: { width: 1440, height: 900 } },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
  phonedark: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: "dark", deviceScaleFactor: 2 },
};
const hash = process.env.HASH ?? "#v=1&pause-at-goal=off";
const mid = (process.env.MID ?? "0,2,3").split(",").map(Number);
for (const kind of which) {
  const ctx = await browser.newContext(kinds[kind]);
  const page = await ctx.newPage();
  page.on("pageerror", (e) => console.log("ERROR", e.message));
  page.on("console", (m) => m.type() === "error" && console.log("CONSOLE", m.text()));
  await page.goto(url + hash);
  await page.waitForFunction(() => window.unroll?.frame(0) != null, undefined, { timeout: 60000 });
  await page.getByRole("button", { name: "Run" }).click();
  await page.waitForFunction((n) => (window.unroll?.steps()[0] ?? 0) > n, Number(process.env.N ?? 300), { timeout: 120000 });
  await page.getByRole("button", { name: "Slow" }).click();
  await page.waitForFunction(() => window.unroll.update(0) != null);
  for (let stage = 0; stage < 6; stage++) {
    await page.waitForTimeout(mid.includes(stage) ? 700 : 1900);
    console.log(await page.getByTestId("slow-sentence").allTextContents());
    if (which.length === 1 || mid.includes(stage) || stage === 5) await page.screenshot({ path: `/tmp/pcshots/${kind}-slow${stage}.png` });
    await page.locator("body").press("Space");
  }
  console.log(kind, await page.evaluate(() => window.unroll.steps()));
  await ctx.close();
}
await browser.close();
