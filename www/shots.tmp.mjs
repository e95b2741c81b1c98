import { chromium } from "playwright-core";
const url = process.env.UNROLL_URL ?? "http://127.0.0.1:8123/";
const which = (process.argv[2] ?? "1440x900-light,390x844-dark").split(",");
const hash = process.argv[3] ?? "";
const wait = +(process.argv[4] ?? 4000);
const out = process.argv[5] ?? "/tmp/shots";
const b = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
  ],
});
for (const w of which) {
  const [size, scheme, act] = w.split("-");
  const [width, height] = size.split("x").map(Number);
  const ctx = await b.newContext({
    viewport: { width, height },
    colorScheme: scheme,
    deviceScaleFactor: 1,
    hasTouch: width < 500,
    isMobile: width < 500,
  });
  const p = await ctx.newPage();
  p.on("console", (m) => {
    if (m.type() !== "log") console.log("console", m.type(), m.text().slice(0, 500));
  });
  p.on("pageerror", (e) => console.log("pageerror", e.message.slice(0, 800)));
  await p.goto(url + hash);
  await p
    .waitForFunction(() => window.unroll?.frame(0) != null, null, { timeout: 20000 })
    .catch((e) => console.log("no frame", e.message));
  if (act !== "idle")
    await p
      .getByRole("button", { name: "Run" })
      .click()
      .catch((e) => console.log(e.message.slice(0, 300)));
  await p.waitForTimeout(wait);
  if (act === "hover") {
    const c = p.locator(".ribbon canvas").first();
    const bb = await c.boundingBox();
    await p.mouse.move(bb.x + bb.width * 0.5, bb.y + 30);
    await p.waitForTimeout(300);
  }
  if (act === "chip") {
    await p.locator("#lane-chip-1").click();
    await p.waitForTimeout(300);
  }
  if (act === "more") {
    await p.getByText("More settings").click();
    await p.waitForTimeout(300);
  }
  if (act === "help") {
    await p.keyboard.press("?");
    await p.waitForTimeout(300);
  }
  await p.screenshot({ path: `${out}/${w}.png`, fullPage: act === "full" });
  console.log(
    w,
    JSON.stringify(
      await p.evaluate(() => ({
        steps: window.unroll.steps(),
        run: window.unroll.isRunning(),
        sw: document.documentElement.scrollWidth,
        iw: innerWidth,
      })),
    ),
  );
  await ctx.close();
}
await b.close();
