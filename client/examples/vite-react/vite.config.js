import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The recorder needs nothing here. `base` lets the result be served from any folder.
export default defineConfig({ base: './', plugins: [react()] });
