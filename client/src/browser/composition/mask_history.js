// Positions of masked elements over time. Pure: times are arguments, so tests need no browser.
//
// A captured frame reaches the page some time after it was drawn, and the browser scrolls and animates without the page's
// script. A mask at the element's present position would miss the element in that frame. Each frame is therefore covered
// wherever an element was during the whole time in which the frame may have been drawn.

/** Longest time between two samples of a page that the browser scrolls and animates. During a longer one, positions are unknown. */
const MAX_GAP_MS = 500;
/** Time between two samples in which an element may have moved forth and back. */
const REST_GAP_MS = 300;
/** Distance from the recorded area, in units of its size, from which an element does not come into it during such a time. */
const FAR = 0.5;
/** Time to which a step between two positions is ascribed at least: the page's script moves elements in no time. */
const MIN_STEP_MS = 8;
/** Age at which samples are forgotten. */
const KEPT_MS = 5_000;
/** Largest difference of the aspect ratios of a frame and of the recorded area, in pixels of the frame. */
const RATIO_TOLERANCE_PX = 4;

/**
 * Sample: positions at one time, relative to the recorded area and in units of its size.
 *
 * @typedef {object} Sample
 * @property {{ width: number, height: number } | null} area - Size of the recorded area; `null` if it is unknown.
 * @property {Map<unknown, number[]>} boxes - Left, top, right and bottom of each masked element.
 */

export class MaskHistory {
  /** Samples with the times from which and up to which they were the same. */
  #samples = [];
  #movesByItself;

  /** `movesByItself`: whether elements move without the page's script, which samples after each change. */
  constructor({ movesByItself = true } = {}) {
    this.#movesByItself = movesByItself;
  }

  /**
   * Adds the sample of time `at`; returns whether it differs from the previous one.
   *
   * @param {number} at
   * @param {Sample} sample
   */
  add(at, { area, boxes }) {
    const last = this.#samples.at(-1);
    const isSame = last !== undefined && this.#isShort(at - last.until) && sameArea(last.area, area) && sameBoxes(last.boxes, boxes);
    if (isSame) last.until = at;
    else this.#samples.push({ since: at, until: at, area, boxes });
    while (this.#samples.length > 1 && this.#samples[1].since < at - KEPT_MS) this.#samples.shift();
    return !isSame;
  }

  /**
   * Returns the boxes that cover every masked element in a frame drawn between `from` and `to`, and the sizes of the
   * recorded area in that time. Returns `null` if the positions, or the area, are not known for all of that time.
   */
  covering(from, to, frame) {
    const first = this.#samples.findLastIndex((it) => it.since <= from);
    const last = this.#samples.findIndex((it) => it.until >= to);
    if (first < 0 || last < 0) return null;
    const samples = this.#samples.slice(Math.min(first, last), Math.max(first, last) + 1);
    const boxes = [];
    const areas = [];
    // Movements before the window count, too: they show how fast an element turns.
    const before = this.#samples[Math.min(first, last) - 1];
    for (const [i, sample] of samples.entries()) {
      const { area } = sample;
      if (area === null || !hasRatio(area, frame)) return null;
      areas.push(area);
      const next = samples[i + 1];
      const gap = next === undefined ? 0 : next.since - sample.until;
      if (this.#movesByItself && gap > MAX_GAP_MS) return null;
      for (const [element, box] of sample.boxes) {
        const moved = next?.boxes.get(element) ?? box;
        const isMoving = !sameBox(box, moved);
        // Between two samples an element is within the box around both, or beyond it before it turns.
        const speeds = [[samples[i - 1] ?? before, sample], [sample, next], [next, samples[i + 2]]].map((it) => speed(element, ...it));
        const covered = isMoving ? wider(around(box, moved), Math.max(...speeds) * gap) : box;
        if (isMoving && this.#movesByItself && gap > REST_GAP_MS && isInside(wider(covered, FAR))) return null;
        boxes.push(covered);
      }
    }
    return { boxes, areas };
  }

  #isShort(gap) {
    return !this.#movesByItself || gap <= MAX_GAP_MS;
  }
}

/** Speed of an element between two samples, per millisecond; 0 if one of its positions is unknown. */
function speed(element, before, after) {
  const [a, b] = [before?.boxes.get(element), after?.boxes.get(element)];
  if (!a || !b) return 0;
  return Math.max(...a.map((value, i) => Math.abs(b[i] - value))) / Math.max(after.since - before.until, MIN_STEP_MS);
}

const isInside = ([left, top, right, bottom]) => left < 1 && top < 1 && right > 0 && bottom > 0;

const wider = ([left, top, right, bottom], by) => [left - by, top - by, right + by, bottom + by];

function around(a, b) {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

function sameArea(a, b) {
  return a === b || (a !== null && b !== null && a.width === b.width && a.height === b.height);
}

function sameBoxes(a, b) {
  if (a.size !== b.size) return false;
  for (const [element, box] of a) {
    const other = b.get(element);
    if (other === undefined || !sameBox(box, other)) return false;
  }
  return true;
}

const sameBox = (a, b) => a.every((value, i) => value === b[i]);

/** Whether a frame shows exactly this area: browsers add bars to a frame of another shape. */
function hasRatio(area, frame) {
  const height = (frame.width * area.height) / area.width;
  const width = (frame.height * area.width) / area.height;
  return Math.abs(height - frame.height) <= RATIO_TOLERANCE_PX || Math.abs(width - frame.width) <= RATIO_TOLERANCE_PX;
}
