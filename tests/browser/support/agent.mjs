// Runs the real capture agent with its test pattern, whose signal can be removed.

import { join } from 'node:path';
import { Api } from './api.mjs';
import { ADMIN, Server } from './server.mjs';

/** Binary under test; set by `make test`. */
const agentBinary =
  process.env.SORTIE_CAPTURE_AGENT ?? new URL('../../../target/tested/sortie-capture-agent', import.meta.url).pathname;

/** A running agent with its own database and recordings folder. */
export class Agent extends Server {
  program = [agentBinary, 'serve'];
  portVariable = 'SORTIE_CAPTURE_PORT';

  defaults() {
    return {
      // GStreamer's plugin registry is below HOME; without it every start scans all plugins.
      HOME: process.env.HOME,
      SORTIE_CAPTURE_SOURCE: 'test',
      SORTIE_CAPTURE_MODE: '640x360@15',
      SORTIE_CAPTURE_HOST: '127.0.0.1',
      SORTIE_CAPTURE_PORT: '0',
      SORTIE_CAPTURE_PATH: join(this.dataDir, 'recordings'),
      SORTIE_CAPTURE_DB: join(this.dataDir, 'agent.db'),
      SORTIE_CAPTURE_ADMIN_USERNAME: ADMIN.username,
      SORTIE_CAPTURE_ADMIN_PASSWORD: ADMIN.password,
      // Independent of the disk that the tests run on.
      SORTIE_CAPTURE_THRESHOLD_PERCENT: '0',
      SORTIE_CAPTURE_RESERVE_MB: '1',
    };
  }
}

/** The agent's API, for setup and assertions beside the page. */
export class AgentApi extends Api {
  static async signIn(origin) {
    return Object.assign(new AgentApi(), await Api.signIn(origin));
  }

  async state() {
    return (await this.fetch('/api/appliance')).json();
  }

  /** Sets the signal: `steady`, `no_signal`, `no_lock` or `unsupported`. */
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
