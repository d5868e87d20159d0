// The dashboard in a real browser against a real Gillnet.
//
//   GILLNET_URL           the address that the command printed, with its token
//   GILLNET_MODE          `recorded` or `live`: what runs there
//   GILLNET_DOWNLOAD_DIR  recorded: where the downloaded captures are left
//   GILLNET_TRAFFIC_URL   live: a web server whose traffic that Gillnet captures
//   GILLNET_SCREENSHOT    optional: where a picture of the page is left (PNG)
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import { type Page, expect, test } from '@playwright/test';

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const address = variable('GILLNET_URL');
const mode = variable('GILLNET_MODE');
if (mode !== 'recorded' && mode !== 'live') {
  throw new Error(`GILLNET_MODE is neither recorded nor live: ${mode}`);
}
const { origin } = new URL(address);

const rows = (page: Page) => page.getByTestId('rows').getByRole('row');
const details = (page: Page) => page.getByTestId('detail');
const filterLine = (page: Page) => page.getByRole('textbox', { name: 'Filter (KFL)' });

/** What the list says it holds: `200 of 1,234 entries` is [200, 1234]. */
async function counts(page: Page): Promise<number[]> {
  const text = await page.getByTestId('counts').innerText();
  return [...text.matchAll(/[\d,]+/g)].map(([digits]) => Number(digits.replaceAll(',', '')));
}

async function applyFilter(page: Page, kfl: string): Promise<void> {
  await page.keyboard.press('Escape');
  await filterLine(page).fill(kfl);
  await page.keyboard.press('Enter');
}

/** Faults of the page that no test should pass over. */
let faults: string[] = [];

test.beforeEach(async ({ page }) => {
  faults = [];
  page.on('pageerror', (error) => faults.push(`uncaught: ${error.message}`));
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    const own = host === new URL(origin).host || protocol === 'data:' || protocol === 'blob:';
    if (!own) faults.push(`request to another origin: ${request.url()}`);
  });
  await page.goto(address);
});

test.afterEach(() => {
  expect(faults).toEqual([]);
});

async function axeFaults(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze();
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}

async function screenshot(page: Page): Promise<void> {
  const path = process.env.GILLNET_SCREENSHOT;
  if (path) await page.screenshot({ path });
}

test('the token leaves the address, and without it the page says how to get in', async ({
  page,
  browser,
}) => {
  await expect(
    rows(page)
      .first()
      .or(page.getByText(/Listening on/)),
  ).toBeVisible();
  expect(page.url()).not.toContain('token');

  const stranger = await browser.newContext();
  const door = await stranger.newPage();
  await door.goto(origin);
  await expect(door.getByText(/Open the URL that the command printed/)).toBeVisible();
  await stranger.close();
});

test.describe('a recording', () => {
  test.skip(mode !== 'recorded', 'another Gillnet runs there');

  test('a filter narrows the list, and a wrong one shows where', async ({ page }) => {
    await expect(page.getByTestId('connection')).toHaveText('Ready');
    await expect(rows(page).first()).toBeVisible();
    const [, all = 0] = await counts(page);
    expect(all).toBeGreaterThan(0);

    await applyFilter(page, 'http and response.status == 500');
    await expect.poll(async () => (await counts(page))[1]).not.toBe(all);
    const [, narrowed = 0] = await counts(page);
    expect(narrowed).toBeGreaterThan(0);
    expect(narrowed).toBeLessThan(all);
    const statuses = await rows(page).locator('.c-status').allInnerTexts();
    expect(statuses.length).toBeGreaterThan(0);
    expect(new Set(statuses)).toEqual(new Set(['500']));
    expect(new URL(page.url()).searchParams.get('q')).toBe('http and response.status == 500');

    await applyFilter(page, 'http and respnse.status == 500');
    await expect(page.locator('.filter-message')).toContainText('Column 10:');
    await expect(page.locator('.kfl-error-mark')).toContainText('respnse');
    expect((await counts(page))[1]).toBe(narrowed);

    await page.reload();
    await expect.poll(async () => (await counts(page))[1]).toBe(narrowed);
  });

  test('details open with request and response side by side', async ({ page }) => {
    await applyFilter(page, 'http and response.status == 500');
    await expect(rows(page).first().locator('.c-status')).toHaveText('500');
    const path = await rows(page).first().locator('.c-summary').innerText();
    await rows(page).first().click();
    await expect(details(page).getByRole('heading', { level: 2 })).toContainText(path);
    const request = details(page).getByRole('region', { name: 'Request' });
    const response = details(page).getByRole('region', { name: 'Response' });
    await expect(request.getByRole('table', { name: 'Request: headers' })).toBeVisible();
    await expect(response.getByRole('table', { name: 'Response: general' })).toContainText('500');
    const [left, right] = [await request.boundingBox(), await response.boundingBox()];
    expect(left && right && right.x >= left.x + left.width - 1 && right.y === left.y).toBe(true);
    await screenshot(page);

    await page.keyboard.press('Escape');
    await expect(details(page)).toHaveCount(0);
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await expect(details(page)).toBeVisible();
  });

  test("a stream's packets download", async ({ page }) => {
    await applyFilter(page, 'http and response.status == 500');
    await expect(rows(page).first().locator('.c-status')).toHaveText('500');
    await rows(page).first().click();
    const magic = { pcap: ['d4c3b2a1', '4d3cb2a1'], pcapng: ['0a0d0d0a'] };
    for (const format of ['pcap', 'pcapng'] as const) {
      const coming = page.waitForEvent('download');
      await details(page).getByRole('button', { name: 'Export the stream' }).click();
      await page.getByRole('link', { name: new RegExp(`^${format} `) }).click();
      const path = join(variable('GILLNET_DOWNLOAD_DIR'), `stream.${format}`);
      await (await coming).saveAs(path);
      const bytes = await readFile(path);
      expect(magic[format]).toContain(bytes.subarray(0, 4).toString('hex'));
    }
  });

  test('what the list shows downloads, and nothing else', async ({ page }) => {
    await applyFilter(page, 'http and response.status == 500');
    await expect(rows(page).first().locator('.c-status')).toHaveText('500');
    const [, all = 0] = await counts(page);
    const coming = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Export what is shown' }).click();
    await page.getByRole('link', { name: /^jsonl / }).click();
    const download = await coming;
    expect(download.suggestedFilename()).toMatch(/^gillnet-.*\.jsonl$/);
    const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n');
    const statuses = lines.map((line) => {
      return (JSON.parse(line) as { response: { status: number } }).response.status;
    });
    expect(statuses).toEqual(Array.from({ length: all }, () => 500));
  });

  test('what is marked in the timeline is the time that is shown', async ({ page }) => {
    const timeline = page.getByTestId('timeline');
    await expect(
      timeline.getByTestId('timeline-bars').locator('[data-kind]').first(),
    ).toBeVisible();
    await expect(rows(page).first()).toBeVisible();
    const [, all = 0] = await counts(page);
    const total = timeline.getByTestId('timeline-total');
    await expect(total).toHaveText(`${all.toLocaleString('en-US')} entries`);

    const slider = timeline.getByRole('slider');
    const box = await slider.boundingBox();
    if (!box) throw new Error('the timeline has no place');
    await page.mouse.move(box.x + 1, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.4, box.y + 20, { steps: 5 });
    await page.mouse.up();
    await expect.poll(async () => (await counts(page))[1]).toBeLessThan(all);
    const [, some = 0] = await counts(page);
    expect(some).toBeGreaterThan(0);
    await expect(total).toHaveText(`${some.toLocaleString('en-US')} entries`);
    const { searchParams } = new URL(page.url());
    const [since, until] = ['since', 'until'].map((name) =>
      Date.parse(searchParams.get(name) ?? ''),
    );
    expect(Number(until) - Number(since)).toBeGreaterThan(0);

    await page.reload();
    await expect.poll(async () => (await counts(page))[1]).toBe(some);
    await page.getByRole('button', { name: /show all times/ }).click();
    await expect.poll(async () => (await counts(page))[1]).toBe(all);
    await page.goBack();
    await expect.poll(async () => (await counts(page))[1]).toBe(some);

    await page.getByRole('button', { name: /show all times/ }).click();
    await expect.poll(async () => (await counts(page))[1]).toBe(all);
    await slider.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await expect.poll(async () => (await counts(page))[1]).toBeLessThan(all);
  });

  test('services are counted, sorted, and narrow the filter', async ({ page }) => {
    await expect(rows(page).first()).toBeVisible();
    const [, all = 0] = await counts(page);
    await page.getByRole('button', { name: 'Services' }).click();
    const services = page.getByTestId('services');
    const table = services.getByRole('table');
    await expect(table.getByRole('rowheader').first()).toBeVisible();
    const cells = await table.locator('tbody tr td:nth-child(2)').allInnerTexts();
    const requests = cells.map((text) => Number(text.replaceAll(',', '')));
    expect(requests.reduce((sum, count) => sum + count, 0)).toBe(all);
    expect(requests).toEqual([...requests].sort((a, b) => b - a));
    await table.getByRole('button', { name: 'Requests' }).click();
    await expect(table.getByRole('columnheader', { name: 'Requests' })).toHaveAttribute(
      'aria-sort',
      'ascending',
    );
    await services.getByLabel('Group by').selectOption('Protocol');
    await table.getByRole('button', { name: 'http' }).click();
    await expect.poll(() => new URL(page.url()).searchParams.get('q')).toBe('http');
    await expect(table.getByRole('rowheader')).toHaveText(['http']);
    const count = await table.locator('tbody td').first().innerText();
    await page.getByRole('button', { name: 'Entries' }).click();
    await expect.poll(async () => (await counts(page))[1]).toBe(Number(count.replaceAll(',', '')));
  });

  test('the map has a line for each connection, which narrows the filter', async ({ page }) => {
    await page.getByRole('button', { name: 'Map' }).click();
    const map = page.getByTestId('map');
    const lines = map.getByRole('button', { name: / requests, / });
    await map.getByLabel('Group by').selectOption('Address');
    await expect(lines.first()).toBeVisible();
    await expect(lines.first()).toContainText('p99');
    await lines.first().focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => new URL(page.url()).searchParams.get('q')).toContain('src.ip == ');
    await expect(lines).toHaveCount(1);
    await map.getByLabel('Only with errors').check();
    await expect(lines.first()).toContainText('errors');
  });

  test('the top values of a field narrow the filter', async ({ page }) => {
    await page.getByRole('button', { name: 'Top values' }).click();
    const top = page.getByTestId('top-values');
    await top.getByLabel('Field').fill('response.status');
    await page.keyboard.press('Enter');
    const failed = top.getByRole('row', { name: /^500 / });
    await expect(failed).toContainText('%');
    const count = await failed.getByRole('cell').first().innerText();
    expect(await axeFaults(page)).toEqual([]);
    await failed.getByRole('button', { name: 'Add' }).click();
    await expect.poll(async () => (await counts(page))[1]).toBe(Number(count.replaceAll(',', '')));
    await rows(page).first().click();
    await details(page).getByRole('button', { name: 'Filter by request.path' }).first().click();
    await page.getByRole('button', { name: 'Top values' }).last().click();
    await expect(top.getByRole('columnheader', { name: 'request.path' })).toBeVisible();
  });

  for (const scheme of ['Light', 'Dark']) {
    test(`has no faults of accessibility: ${scheme}`, async ({ page }) => {
      await page.getByRole('button', { name: `${scheme} colours` }).click();
      await expect(rows(page).first()).toBeVisible();
      await expect(page.getByTestId('timeline').getByRole('slider')).toBeVisible();
      expect(await axeFaults(page)).toEqual([]);
      await page.getByRole('button', { name: 'Services' }).click();
      await expect(page.getByTestId('services').getByRole('table')).toBeVisible();
      expect(await axeFaults(page)).toEqual([]);
      await page.getByRole('button', { name: 'Map' }).click();
      await expect(page.getByTestId('map').getByRole('group')).toBeVisible();
      expect(await axeFaults(page)).toEqual([]);
      await page.getByRole('button', { name: 'Entries' }).click();
      await rows(page).first().click();
      await expect(details(page).getByRole('region', { name: 'Request' })).toBeVisible();
      await applyFilter(page, 'http and respnse.status == 500');
      await expect(page.locator('.filter-message')).toContainText('Column 10:');
      await page.getByRole('button', { name: /^Dropped/ }).click();
      expect(await axeFaults(page)).toEqual([]);
    });
  }
});

test.describe('live', () => {
  test.skip(mode !== 'live', 'another Gillnet runs there');

  /** Asks the captured server for a path that nobody else asks for. */
  async function makeTraffic(count: number): Promise<string> {
    const path = `/gillnet-e2e-${Date.now().toString(36)}`;
    for (let index = 0; index < count; index += 1) {
      const answer = await fetch(new URL(`${path}/${index}`, variable('GILLNET_TRAFFIC_URL')));
      await answer.arrayBuffer();
    }
    return path;
  }

  test('entries appear without a reload', async ({ page }) => {
    await expect(page.getByTestId('connection')).toHaveText('Live');
    const loaded = await page.evaluate(() => performance.timeOrigin);
    const path = await makeTraffic(3);
    const own = rows(page).filter({ hasText: path });
    await expect(own.first()).toBeVisible();
    await expect(own).toHaveCount(3);
    expect(await page.evaluate(() => performance.timeOrigin)).toBe(loaded);

    const bars = page.getByTestId('timeline-bars').locator('[data-kind]');
    await expect(bars.first()).toBeVisible();
    await page.getByRole('button', { name: 'Services' }).click();
    await expect(page.getByTestId('services').getByRole('rowheader').first()).toBeVisible();
    await page.getByRole('button', { name: 'Entries' }).click();

    await own.first().click();
    await expect(details(page).getByRole('heading', { level: 2 })).toContainText(path);
    await screenshot(page);
  });

  test('a filter holds for what comes', async ({ page }) => {
    await expect(page.getByTestId('connection')).toHaveText('Live');
    await applyFilter(page, 'http and request.path == "/no-such-path"');
    await expect(page.getByText('Nothing has matched yet')).toBeVisible();
    await makeTraffic(1);
    await applyFilter(page, 'http');
    await expect(page.getByTestId('connection')).toHaveText('Live');
    const path = await makeTraffic(2);
    await expect(rows(page).filter({ hasText: path }).first()).toBeVisible();
    const protocols = await rows(page).locator('.c-protocol').allInnerTexts();
    expect(new Set(protocols)).toEqual(new Set(['HTTP']));
  });

  test('pause freezes the list and counts what arrives', async ({ page }) => {
    await expect(page.getByTestId('connection')).toHaveText('Live');
    const first = await makeTraffic(1);
    await expect(rows(page).filter({ hasText: first })).toHaveCount(1);
    await page.keyboard.press(' ');
    const pause = page.getByRole('button', { name: /^Paused/ });
    await expect(pause).toBeVisible();
    const second = await makeTraffic(2);
    await expect(pause).toHaveText(/Paused: [1-9][\d,]* new/);
    await expect(rows(page).filter({ hasText: second })).toHaveCount(0);
    await page.keyboard.press(' ');
    await expect(rows(page).filter({ hasText: second }).first()).toBeVisible();
  });
});
