// Activity and markers of a recording, answered by the test instead of the server: their content is then known exactly.

/**
 * Answers the requests of `page` for the activity of recordings. `activities` has a response body by recording ID; all
 * others have none.
 */
export async function routeActivity(page, activities) {
  await page.route(/\/api\/recordings\/[^/]+\/activity$/, async (route) => {
    const id = new URL(route.request().url()).pathname.split('/').at(-2);
    const body = activities[id];
    await (body ? route.fulfill({ json: body }) : route.fulfill({ status: 404, json: notFound }));
  });
}

/** Activity of a recording of `seconds` with these idle spans, in seconds. */
export function activityOf(seconds, idle = []) {
  const isIdle = (second) => idle.some(([from, to]) => second >= from && second < to);
  const idleMs = idle.reduce((sum, [from, to]) => sum + (to - from) * 1_000, 0);
  return {
    bucket_ms: 1_000,
    levels: Array.from({ length: seconds }, (_, second) => (isIdle(second) ? 0 : 90 + ((second * 53) % 160))),
    idle: idle.map(([from, to]) => ({ start_ms: from * 1_000, end_ms: to * 1_000 })),
    active_ms: seconds * 1_000 - idleMs,
  };
}

/** Answers the requests of `page` for the markers of recordings. `markers` has them by recording ID. */
export async function routeMarkers(page, markers) {
  await page.route(/\/api\/recordings\/[^/]+\/markers$/, (route) => {
    const id = new URL(route.request().url()).pathname.split('/').at(-2);
    return route.fulfill({ json: markers[id] ?? [] });
  });
}

/** A marker at a time in milliseconds. */
export function markerAt(time_ms, text, more = {}) {
  return { id: `m${time_ms}`, time_ms, text, kind: 'note', created_at: '2026-11-21T09:00:00Z', ...more };
}

const notFound = { type: 'about:blank', title: 'Not found', status: 404, code: 'not_found', detail: 'There is nothing here.' };

/** Position of the page's video in its file, in seconds. */
export const positionOf = (page) => page.evaluate(() => document.querySelector('video').currentTime);

/** Waits until the video is at `seconds`, with no seek in progress. */
export async function untilAt(page, seconds, tolerance = 0.3) {
  await page.waitForFunction(([to, within]) => {
    const video = document.querySelector('video');
    return !video.seeking && video.readyState >= 2 && Math.abs(video.currentTime - to) <= within;
  }, [seconds, tolerance]);
}

/** Opens the player and waits for the first picture. */
export async function openPlayer(page, server, id, query = '') {
  await page.goto(`${server.origin}/recordings/${id}${query}`);
  await page.getByRole('slider', { name: 'Position' }).waitFor();
  await page.waitForFunction(() => document.querySelector('video')?.readyState >= 2);
}
