import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The recorder needs no configuration. `base` allows the result to be served from any folder.
export default defineConfig({ base: './', plugins: [svelte()] });
