// A server as it looks after some months of use: for pictures, not for tests.

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Api } from './api.mjs';
import { sampleWebm } from './media.mjs';
import { untilReady } from './proof.mjs';

const run = promisify(execFile);

const PEOPLE = [
  ['maria.keller', 'Maria Keller', 11],
  ['j.okafor', 'Joseph Okafor', 9],
  ['tomas.novak', 'Tomáš Novák', 8],
  ['li.wei', 'Li Wei', 7],
  ['amelie.dubois', 'Amélie Dubois', 5],
  ['sven.larsson', 'Sven Larsson', 3],
];
const DAY_MS = 86_400_000;

/** Numbers from 0 to 1 that are the same every time (mulberry32). */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Fills the server with people and recordings, and moves them into the past. Answers the people, by user name. */
export async function furnish(server) {
  const admin = await Api.signIn(server.origin);
  const bytes = await sampleWebm(2);
  const next = numbers(7);
  const people = {};
  const statements = [];
  const set = (id, columns) => statements.push([
    `UPDATE recordings SET ${Object.keys(columns).map((it) => `${it} = ?`).join(', ')} WHERE id = ?`,
    [...Object.values(columns), id],
  ]);
  for (const [username, displayName, count] of PEOPLE) {
    const password = `password of ${username}`;
    await admin.post('/api/admin/users', {
      username, password, display_name: displayName, email: `${username}@example.org`,
      roles: username === 'maria.keller' ? ['user', 'admin'] : ['user'],
    });
    const person = await Api.signIn(server.origin, { username, password });
    people[username] = Object.assign(person, { username, password });
    for (let i = 0; i < count; i += 1) {
      const isText = next() < 0.06;
      const id = await person.upload(isText ? Buffer.from('no video\n') : bytes, {
        filename: isText ? 'notes.txt' : 'file.webm',
      });
      await untilReady(person, id, 20_000).catch(() => {});
      // More of late than long ago, in working hours, on working days.
      const created = new Date(Date.now() - Math.floor(next() ** 1.7 * 80 + 0.6) * DAY_MS);
      created.setUTCHours(7 + Math.floor(next() * 9), Math.floor(next() * 60), Math.floor(next() * 60), 0);
      if (created.getUTCDay() % 6 === 0) created.setTime(created.getTime() - 2 * DAY_MS);
      const seconds = Math.floor(40 + next() ** 2 * 5_400);
      const stamp = created.toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-');
      set(id, {
        created_ms: created.getTime(),
        completed_ms: created.getTime() + seconds * 1_000,
        ...(isText ? {} : {
          filename: `recording_${stamp}.webm`,
          duration_ms: seconds * 1_000,
          size_bytes: Math.floor(seconds * (110_000 + next() * 160_000)),
          interrupted: next() < 0.07 ? 1 : 0,
          protected: next() < 0.1 ? 1 : 0,
        }),
      });
    }
    statements.push(['UPDATE users SET last_seen_ms = ?, created_ms = ? WHERE username = ?', [
      Date.now() - Math.floor(next() * 6 * DAY_MS), Date.now() - Math.floor((60 + next() * 40) * DAY_MS), username,
    ]]);
  }
  await admin.post('/api/admin/users', {
    username: 'kiosk-3', password: 'password of kiosk-3', display_name: 'Kiosk, hall 3', roles: ['user'],
  });
  for (const [who, name, scopes, days] of [
    [admin, 'grafana', ['admin'], 365],
    [admin, 'nightly export', ['read'], 90],
    [people['maria.keller'], 'acceptance tests', ['record', 'read'], 90],
    [people['maria.keller'], 'backup of my recordings', ['read'], undefined],
    [people['j.okafor'], 'line 4 camera', ['record'], undefined],
    [people['li.wei'], 'test bench', ['record', 'read'], 30],
  ]) {
    const made = await (await who.post('/api/tokens', { name, scopes, expires_in_days: days })).json();
    if (name !== 'test bench') {
      await fetch(`${server.origin}/api/auth/me`, { headers: { authorization: `Bearer ${made.token}` } });
    }
  }
  await server.stop();
  const script = `import json, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    for statement, values in json.load(sys.stdin):
        database.execute(statement, values)`;
  const editing = run('python3', ['-c', script, join(server.dataDir, 'sortie.db')]);
  editing.child.stdin.end(JSON.stringify(statements));
  await editing;
  await server.restart();
  return people;
}

/** A recording of this person that has begun and goes on. */
export async function begin(person) {
  const session = await (await person.post('/api/sessions', { app_id: 'bench' })).json();
  const started = await (await person.post(`/api/sessions/${session.id}/recording/start`)).json();
  const bytes = await sampleWebm(8);
  const answer = await person.fetch(`/api/uploads/${started.recording_id}`, {
    method: 'PATCH',
    headers: {
      'tus-resumable': '1.0.0', 'upload-offset': '0', 'content-type': 'application/offset+octet-stream',
    },
    body: bytes,
  });
  if (answer.status !== 204) throw new Error(`the upload answered ${answer.status}`);
}
