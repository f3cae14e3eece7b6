// Sizes of what pages fetch, for the tool size-limit.

import { join } from 'node:path';
import { built, PURPOSES } from './support/fetched-files.mjs';

export default Object.values(PURPOSES).map(({ title, files, limitBytes }) => ({
  name: title, path: files.map((file) => join(built, file)), limit: `${limitBytes} B`, brotli: true,
}));
