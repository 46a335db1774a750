// Opens studies in OHIF with a headless Chromium and takes a picture of the page for each object of a study.
//
//   node screenshots.mjs JOB.json
//
// JOB: {dist, playwright, chromium, orthanc: port, output: folder, studies: [{name, study, shots: [{name, modality}]}]}.
// Writes <output>/<study name>_<shot name>.png and <output>/shots.json, which tells where in each page the canvas lies.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { startWebServer } from './web_server.mjs';

const FLAGS = [
  '--no-sandbox',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist',
  '--disable-dev-shm-usage',
];
const PAGE = { width: 1280, height: 800 };
const CANVAS = 'canvas.cornerstone-canvas';
// Where cornerstone draws the outlines of a report, over the canvas.
const OUTLINE = 'svg.svg-layer polyline, svg.svg-layer path, svg.svg-layer line';
const OUTLINED = ['SR'];
const FIRST = 'CR';
const THUMBNAIL = '[data-cy^="study-browser-thumbnail"]';
const LONGEST_WAIT = 120_000;
const PAUSE = 1500;
// On a busy machine OHIF now and then opens a report without drawing its outlines. Whoever sees that opens it again.
const TRIES = 3;

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { chromium } = createRequire(import.meta.url)(join(job.playwright, 'index.js'));

const server = await startWebServer({
  dist: job.dist,
  appConfig: join(dirname(fileURLToPath(import.meta.url)), 'app-config.js'),
  orthanc: job.orthanc,
});
const browser = await chromium.launch({ executablePath: job.chromium, args: FLAGS });
const shots = [];
try {
  for (const study of job.studies) shots.push(...(await look(study)));
  writeFileSync(join(job.output, 'shots.json'), JSON.stringify(shots, null, 1));
} catch (error) {
  console.error(`error: ${error.message.split('\n')[0]}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
}

/** Opens one study in a fresh browser profile and takes its pictures one after the other. */
async function look({ name, study, shots: wanted }) {
  const context = await browser.newContext({ viewport: PAGE });
  await context.addInitScript(() => localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour'])));
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  // OHIF's own catch-all writes here what kept it from showing an object.
  page.on('console', (message) => {
    if (/Error Boundary/.test(message.text())) errors.push(message.text().split('\n')[0]);
  });
  const taken = [];
  try {
    await page.goto(`http://localhost:${server.address().port}/viewer?StudyInstanceUIDs=${study}`);
    await page.locator(CANVAS).first().waitFor({ timeout: LONGEST_WAIT });
    let before = null;
    for (const { name: shot, modality } of wanted) {
      const [now, tries] = await show(page, modality, before, errors, `${modality} of study ${name}`);
      before = now;
      const file = `${name}_${shot}.png`;
      await page.screenshot({ path: join(job.output, file) });
      taken.push({ study: name, shot, file, canvas: await page.locator(CANVAS).first().boundingBox(), tries, errors: errors.splice(0) });
    }
  } finally {
    await context.close();
  }
  return taken;
}

/** Double-clicks the thumbnail of the object of a modality. */
async function open(page, modality) {
  let seen = [];
  for (const end = Date.now() + LONGEST_WAIT; Date.now() < end; await page.waitForTimeout(500)) {
    seen = await page.locator(THUMBNAIL).evaluateAll((all) => all.map((one) => one.innerText.split('\n')[0].trim()));
    const place = seen.indexOf(modality);
    if (place >= 0) return page.locator(THUMBNAIL).nth(place).dblclick();
  }
  throw new Error(`OHIF lists no ${modality}, only ${seen.join(', ') || 'nothing'}`);
}

/** Opens an object until it is seen. Returns the canvas's picture and how many times it took. */
async function show(page, modality, before, errors, what) {
  for (let tries = 1; tries <= TRIES; tries++) {
    if (tries > 1) {
      await open(page, FIRST);
      await page.waitForTimeout(2 * PAUSE);
    }
    await open(page, modality);
    const seen = await settled(page, OUTLINED.includes(modality) ? OUTLINE : CANVAS, before);
    if (seen) return [seen, tries];
  }
  await page.screenshot({ path: join(job.output, 'unseen.png') });
  throw new Error(`OHIF did not show the ${what} in ${TRIES} tries (unseen.png): ${errors.join('; ') || 'no error told'}`);
}

/** Waits until an element is there and the canvas shows something, other than before, that has stopped changing. Null: it did not. */
async function settled(page, drawn, before) {
  let last = null;
  for (const end = Date.now() + LONGEST_WAIT / 2; Date.now() < end; await page.waitForTimeout(PAUSE)) {
    const there = (await page.locator(drawn).count()) > 0 && (await showsSomething(page));
    const now = there ? await page.locator(CANVAS).first().screenshot() : null;
    if (now && last?.equals(now) && !before?.equals(now)) return now;
    last = now;
  }
  return null;
}

function showsSomething(page) {
  return page.evaluate((selector) => {
    const canvas = document.querySelector(selector);
    if (!canvas?.width || !canvas.height) return false;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let lowest = 255;
    let highest = 0;
    for (let at = 0; at < data.length; at += 4) {
      lowest = Math.min(lowest, data[at]);
      highest = Math.max(highest, data[at]);
    }
    return highest - lowest > 50;
  }, CANVAS);
}
