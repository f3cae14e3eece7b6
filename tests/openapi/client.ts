// Uses a server through the types that openapi-typescript generates from its OpenAPI document.
//
//   node client.js ADDRESS TOKEN

import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

type Status = components['schemas']['RecordingStatus'];

/** Compiles only while the statuses are a union of literals with exactly these members. */
const LABELS: Record<Status, string> = {
  recording: 'Recording', uploading: 'Uploading', processing: 'Processing', ready: 'Ready', failed: 'Failed', trashed: 'In the trash',
};

function check(holds: boolean, message: string): asserts holds {
  if (!holds) throw new Error(message);
}

declare const process: { argv: string[] };
const [address, token] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: address, headers: { Authorization: `Bearer ${token}` } });

const session = await client.POST('/api/sessions', { body: { app_id: 'generated-typescript' } });
check(session.data?.status === 'running', 'the session runs');
const started = await client.POST('/api/sessions/{id}/recording/start', { params: { path: { id: session.data.id } } });
check(started.data?.status === 'recording', 'the recording runs');
const { recording_id: id } = started.data;
const list = await client.GET('/api/recordings', { params: { query: { status: 'recording', limit: 500, sort: 'created' } } });
const row = list.data?.find((it) => it.id === id);
check(row !== undefined && LABELS[row.status] === 'Recording', 'the list has it');
const missing = await client.GET('/api/recordings/{id}', { params: { path: { id: 'unknown' } } });
check(missing.response.status === 404 && missing.error?.code === 'not_found', 'a problem is typed');
console.log('openapi-typescript: 1 passed, 0 failed');
