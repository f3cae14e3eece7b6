// Never run: the test is whether it compiles. A line below `@ts-expect-error` must be wrong.

import type { SvelteHTMLElements } from 'svelte/elements';
import type { JSX as Preact } from 'preact';
import type { JSX as Solid } from 'solid-js';
import type { GlobalComponents } from 'vue';
import { ref } from 'vue';
import type { RecorderOptions } from 'sortie-recorder';
import 'sortie-recorder/preact';
import 'sortie-recorder/solid';
import { createRecorder } from 'sortie-recorder/svelte';
import { useRecorder } from 'sortie-recorder/vue';

const options: RecorderOptions = { server: '', source: 'screen' };

const vue = useRecorder(options);
useRecorder(ref(options));
useRecorder(() => options);
console.log(vue.state.value === 'recording', vue.progress.value?.recordedMs.toFixed(), vue.error.value?.message);
// @ts-expect-error a ref
vue.state === 'recording';
document.onclick = vue.start;
type VueButton = GlobalComponents['sortie-recorder'];

const svelte = createRecorder(() => options);
console.log(svelte.state === 'recording', svelte.done?.recordingId);
document.onclick = svelte.start;
// @ts-expect-error read-only
svelte.state = 'done';
const inSvelte: SvelteHTMLElements['sortie-recorder'] = { server: '', microphone: true, onclick: () => {} };

const inPreact: Preact.IntrinsicElements['sortie-recorder'] = { server: '', source: 'screen', 'max-duration': 60_000 };
const inSolid: Solid.IntrinsicElements['sortie-recorder'] = { server: '', source: 'camera' };
// @ts-expect-error no such attribute
inSolid.serve = '';
export type { VueButton };
export { inPreact, inSolid, inSvelte };
