// Runs the real capture agent with its test picture, whose cable can be pulled.

import { join } from 'node:path';
import { Api } from './api.mjs';
import { ADMIN, Server } from './server.mjs';

/** The program under test; `make test` names the one it has just built. */
const agentBinary =
  process.env.SORTIE_CAPTURE_AGENT ?? new URL('../../../target/tested/sortie-capture-agent', import.meta.url).pathname;

/** A running agent with a database and a folder for recordings of its own. */
export class Agent extends Server {
  program = [agentBinary, 'serve'];
  portVariable = 'SORTIE_CAPTURE_PORT';

  defaults() {
    return {
      // GStreamer keeps its list of plugins there: without it, it looks through all of them at each start.
      HOME: process.env.HOME,
      SORTIE_CAPTURE_SOURCE: 'test',
      SORTIE_CAPTURE_MODE: '640x360@15',
      SORTIE_CAPTURE_HOST: '127.0.0.1',
      SORTIE_CAPTURE_PORT: '0',
      SORTIE_CAPTURE_PATH: join(this.dataDir, 'recordings'),
      SORTIE_CAPTURE_DB: join(this.dataDir, 'agent.db'),
      SORTIE_CAPTURE_ADMIN_USERNAME: ADMIN.username,
      SORTIE_CAPTURE_ADMIN_PASSWORD: ADMIN.password,
      // Whatever disk the tests run on.
      SORTIE_CAPTURE_THRESHOLD_PERCENT: '0',
      SORTIE_CAPTURE_RESERVE_MB: '1',
    };
  }
}

/** The agent's API, for what a test prepares or checks beside the page. */
export class AgentApi extends Api {
  static async signIn(origin) {
    return Object.assign(new AgentApi(), await Api.signIn(origin));
  }

  async state() {
    return (await this.fetch('/api/appliance')).json();
  }

  /** `steady`, `no_signal`, `no_lock`, `unsupported`. */
  async signal(state) {
    const answer = await this.post('/api/appliance/test-signal', { state });
    if (answer.status !== 204) throw new Error(`the signal answered ${answer.status}`);
  }

  async settings(settings) {
    const answer = await this.fetch('/api/admin/settings', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(settings),
    });
    if (answer.status !== 204) throw new Error(`the settings answered ${answer.status}`);
  }
}
