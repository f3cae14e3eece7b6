// Fault kit for app developers: the recording arrives whole despite every fault.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { withPage } from '../browser/support/browser.mjs';
import { packetTimes, longestGap } from '../browser/support/media.mjs';
import { project } from './support/project.mjs';
import { PATIENCE, savedRecording } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

/** Frames arrive thirty times a second, so a gap would be as long as the fault. */
const LONGEST_GAP_S = 1.5;
const FAULT_MS = 2_500;

describe('the fault kit', { timeout: 600_000 }, () => {
  const stage = useSite();
  let site, server, context, api, url;

  before(async () => {
    ({ site, server, context, api } = stage);
    url = site.add('faults', await project({ example: 'faults' }));
  });

  /** Records while `during(page)` injects and removes faults, and examines the file. */
  const survives = (title, during) =>
    withPage(context, title, async (page) => {
      await page.goto(url);
      await page.getByLabel('Server', { exact: true }).fill(server.origin);
      await page.getByLabel('Token').fill(api.tokens.access_token);
      await page.getByRole('button', { name: 'Record' }).click();
      await page.locator('#safe').filter({ hasNotText: '0.0 s' }).waitFor(PATIENCE);
      await during(page);
      await page.getByRole('button', { name: 'Stop' }).click();
      const file = await savedRecording(page, { api, title });
      const gap = longestGap(await packetTimes(file.path));
      assert.ok(gap < LONGEST_GAP_S, `there is a gap of ${gap} s`);
    });
  const safe = async (page) => parseFloat(await page.locator('#safe').textContent());
  const recorded = async (page) => parseFloat(await page.locator('#recorded').textContent());

  test('network outage delays the upload and loses nothing', async () => {
    await survives('npm fault offline', async (page) => {
      await page.getByLabel('No network').check();
      // A request in flight may still arrive.
      await wait(1_000);
      const before = await safe(page);
      await wait(FAULT_MS);
      assert.equal(await safe(page), before);
      assert.ok((await recorded(page)) > before + 1);
      await page.getByLabel('No network').uncheck();
      await page.waitForFunction((it) => parseFloat(document.querySelector('#safe').textContent) > it + 2, before, PATIENCE);
    });
  });

  test('lost answers and server errors lose nothing', async () => {
    await survives('npm fault lost', async (page) => {
      await page.getByLabel('Half of the responses are lost').check();
      await wait(FAULT_MS);
      await page.getByLabel('Half of the responses are lost').uncheck();
      await page.getByLabel('The server answers 500').check();
      await wait(FAULT_MS);
      await page.getByLabel('The server answers 500').uncheck();
    });
  });

  test('full device keeps bytes in memory and warns', async () => {
    await survives('npm fault full', async (page) => {
      assert.equal(await page.locator('#spool').textContent(), 'opfs');
      await page.getByLabel('Device storage full').check();
      await page.getByLabel('No network').check();
      await page.locator('#warnings li').first().waitFor(PATIENCE);
      await page.getByLabel('No network').uncheck();
    });
  });
});
