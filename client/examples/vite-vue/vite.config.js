import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

// The recorder needs no configuration. `base` allows the result to be served from any folder.
export default defineConfig({ base: './', plugins: [vue()] });
