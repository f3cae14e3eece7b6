// Positions of masked elements over time, without a browser.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MaskHistory } from '../../client/src/browser/composition/mask_history.js';

const AREA = { width: 800, height: 600 };
const FRAME = { width: 1600, height: 1200 };
const sample = (boxes, area = AREA) => ({ area, boxes: new Map(Object.entries(boxes)) });
const at = (x, y = 0) => [x, y, x + 0.1, y + 0.1];
const contains = (outer, inner) => outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3];

describe('history of masks', () => {
  test('frame is covered wherever the element was, and between', () => {
    const history = new MaskHistory();
    history.add(0, sample({ a: at(0) }));
    history.add(100, sample({ a: at(0.5) }));
    history.add(200, sample({ a: at(0.2) }));
    const { boxes } = history.covering(50, 150, FRAME);
    assert.ok(boxes.some((it) => contains(it, [0, 0, 0.6, 0.1])));
    assert.ok(boxes.some((it) => contains(it, [0.2, 0, 0.6, 0.1])));
  });

  test('element that turns between two samples is covered', () => {
    const history = new MaskHistory();
    // Swings with a period of 1.4 s, and is sampled irregularly.
    const shown = (now) => at(0.4 + 0.35 * (Math.abs(((now / 700) % 2) - 1) * 2 - 1), 0.2);
    for (let now = 0; now < 5_000; now += [16, 90, 30, 70][now % 4]) history.add(now, sample({ a: shown(now) }));
    for (let drawn = 400; drawn < 4_500; drawn += 3) {
      const { boxes } = history.covering(drawn - 100, drawn + 100, FRAME);
      assert.ok(boxes.some((it) => contains(it, shown(drawn))), `at ${drawn}`);
    }
  });

  test('element that moves during a long gap is not covered, one at rest is', () => {
    const history = new MaskHistory();
    history.add(0, sample({ a: at(0) }));
    history.add(400, sample({ a: at(0) }));
    assert.ok(history.covering(0, 400, FRAME));
    history.add(800, sample({ a: at(0.1) }));
    assert.equal(history.covering(450, 800, FRAME), null);
    const far = new MaskHistory();
    far.add(0, sample({ a: at(8) }));
    far.add(400, sample({ a: at(8.1) }));
    assert.ok(far.covering(0, 400, FRAME));
    const still = new MaskHistory({ movesByItself: false });
    still.add(0, sample({ a: at(0) }));
    still.add(2_000, sample({ a: at(0.1) }));
    assert.ok(still.covering(500, 2_000, FRAME));
  });

  test('element that vanished a moment ago is still covered', () => {
    const history = new MaskHistory();
    history.add(0, sample({ a: at(0.3) }));
    history.add(100, sample({}));
    history.add(400, sample({}));
    assert.deepEqual(history.covering(50, 400, FRAME).boxes, [at(0.3)]);
    assert.deepEqual(history.covering(150, 400, FRAME).boxes, []);
  });

  test('positions before the first and after the last sample are unknown', () => {
    const history = new MaskHistory();
    history.add(100, sample({ a: at(0) }));
    history.add(200, sample({ a: at(0) }));
    assert.equal(history.covering(99, 150, FRAME), null);
    assert.equal(history.covering(100, 201, FRAME), null);
    assert.ok(history.covering(100, 200, FRAME));
  });

  test('positions during a long gap are unknown, even if they are the same after it', () => {
    const history = new MaskHistory();
    history.add(0, sample({ a: at(0) }));
    history.add(900, sample({ a: at(0) }));
    history.add(950, sample({ a: at(0) }));
    assert.equal(history.covering(0, 950, FRAME), null);
    assert.equal(history.covering(500, 950, FRAME), null);
    assert.ok(history.covering(900, 950, FRAME));
  });

  test('frame of another shape than the area is not covered', () => {
    const history = new MaskHistory();
    history.add(0, sample({ a: at(0) }));
    history.add(100, sample({ a: at(0) }, { width: 800, height: 500 }));
    history.add(200, sample({ a: at(0) }, { width: 800, height: 500 }));
    assert.equal(history.covering(0, 200, FRAME), null);
    assert.ok(history.covering(150, 200, { width: 1600, height: 1000 }));
    assert.equal(history.covering(150, 200, FRAME), null);
  });

  test('unknown area is not covered', () => {
    const history = new MaskHistory();
    history.add(0, sample({ a: at(0) }));
    history.add(50, sample({}, null));
    history.add(100, sample({ a: at(0) }));
    assert.equal(history.covering(0, 100, FRAME), null);
  });

  test('equal samples are kept once, and old ones are forgotten', () => {
    const history = new MaskHistory();
    for (let now = 0; now < 60_000; now += 16) assert.equal(history.add(now, sample({ a: at(0.1) })), now === 0);
    assert.equal(history.covering(59_000, 59_900, FRAME).boxes.length, 1);
    for (let now = 60_000; now < 80_000; now += 16) history.add(now, sample({ a: at((now % 1_000) / 2_000) }));
    assert.equal(history.covering(60_000, 60_100, FRAME), null);
  });

  test('random movements are covered at every moment between samples', () => {
    let state = 7;
    const random = () => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    for (let round = 0; round < 200; round += 1) {
      const history = new MaskHistory();
      const path = [];
      for (let now = 0; now < 3_000; now += 5 + random() * 90) {
        path.push([now, at(random() * 0.9, random() * 0.9)]);
        history.add(now, sample({ a: path.at(-1)[1] }));
      }
      const last = path.at(-1)[0];
      const from = random() * (last - 1_000);
      const { boxes } = history.covering(from, last, FRAME);
      for (let tries = 0; tries < 20; tries += 1) {
        const drawn = from + random() * (last - from);
        const after = path.findIndex(([time]) => time >= drawn);
        const [[t0, a], [t1, b]] = [path[after - 1] ?? path[after], path[after]];
        const part = t1 === t0 ? 0 : (drawn - t0) / (t1 - t0);
        const shown = a.map((value, i) => value + (b[i] - value) * part);
        assert.ok(boxes.some((it) => contains(it.map((v, i) => v + (i < 2 ? -1e-9 : 1e-9)), shown)), `round ${round}: ${shown} at ${drawn}`);
      }
    }
  });
});
