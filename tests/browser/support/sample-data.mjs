// Data of a server after some months of use, for screenshots.

import { execFile } from 'node:child_process';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Api } from './api.mjs';
import { sampleWebm } from './media.mjs';
import { untilReady } from './assertions.mjs';

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

/** Pseudo-random numbers from 0 to 1 with a fixed sequence (mulberry32). */
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Fills the server with users and recordings and moves their creation into the past. Returns the users by name. */
export async function fillServer(server) {
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
      // More recordings recently, during working hours and on working days.
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
  await edit(join(server.dataDir, 'sortie.db'), statements);
  await server.restart();
  return people;
}

/** Changes a database that no process has open. */
async function edit(database, statements) {
  const script = `import json, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    for statement, values in json.load(sys.stdin):
        database.execute(statement, values)`;
  const editing = run('python3', ['-c', script, database]);
  editing.child.stdin.end(JSON.stringify(statements));
  await editing;
}

/** Days ago, time of day, minutes. Several values of minutes are the files of one session. */
const WATCHED = [
  [0, '08:12', [61, 34]],
  [1, '13:40', [117]],
  [1, '09:05', [23]],
  [2, '15:22', [60, 60, 12]],
  [4, '10:31', [48]],
  [5, '07:58', [92]],
  [8, '16:03', [9]],
];

/** Gives an appliance the recordings of a week, and an earlier clean-up. */
export async function fillAppliance(agent) {
  const api = await Api.signIn(agent.origin);
  const wait = () => new Promise((resolve) => { setTimeout(resolve, 200); });
  const state = async () => (await api.fetch('/api/appliance')).json();
  while ((await state()).signal.state !== 'steady') await wait();
  await api.post('/api/appliance/recording/start');
  while (!((await state()).file?.duration_seconds > 1)) await wait();
  await api.post('/api/appliance/recording/stop');
  while ((await api.recordings()).length === 0) await wait();
  const [{ id, filename }] = await api.recordings();
  await agent.stop();

  // The agent imports files of the folder at startup.
  const folder = join(agent.dataDir, 'recordings');
  const next = numbers(11);
  const statements = [];
  const stamp = (ms) => new Date(ms).toISOString().slice(0, 19).replace('T', '_').replaceAll(':', '-');
  for (const [number, [days, time, parts]] of WATCHED.entries()) {
    let begun = Date.parse(`${new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10)}T${time}:00Z`);
    for (const minutes of parts) {
      begun += Math.floor(next() * 40) * 1_000;
      const seconds = minutes * 60 - Math.floor(next() * 50);
      const name = `recording_${stamp(begun)}.mp4`;
      await copyFile(join(folder, filename), join(folder, name));
      statements.push([
        `UPDATE recordings SET created_ms = ?, completed_ms = ?, duration_ms = ?, size_bytes = ?, session_id = ?,
           interrupted = ?, protected = ? WHERE storage_path = ?`,
        [
          begun, begun + seconds * 1_000, seconds * 1_000, Math.floor(seconds * (105_000 + next() * 30_000)),
          `session ${number}`, number === 5 ? 1 : 0, number === 3 ? 1 : 0, name,
        ],
      ]);
      begun += seconds * 1_000;
    }
  }
  await agent.restart();
  const again = await Api.signIn(agent.origin);
  while ((await again.recordings()).length <= statements.length) await wait();
  // The first file is deleted by a clean-up.
  const settings = (percent) => again.fetch('/api/admin/settings', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ storage_threshold_percent: percent }),
  });
  for (const recording of await again.recordings()) {
    if (recording.id === id) continue;
    await again.fetch(`/api/recordings/${recording.id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ protected: true }),
    });
  }
  await settings('1');
  while (await again.recording(id)) {
    await again.post('/api/admin/retention/run');
    await wait();
  }
  await settings('80');
  await agent.stop();
  statements.push([
    `UPDATE audit SET at_ms = ?, actor_id = 'system', actor_name = 'system', detail = 'the disk was more than 80 % full'
       WHERE action = 'recording.delete'`,
    [Date.now() - 8.3 * DAY_MS],
  ]);
  await edit(join(agent.dataDir, 'agent.db'), statements);
  await agent.restart();
}

/** Starts a recording of this user that keeps running. */
export async function startRecording(person) {
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
