// Page with secrets that move, scroll, appear and vanish, in the tab and on a canvas.

import { SECRET } from './pixels.mjs';

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Masked</title><script type="module" src="./main.js"></script><style>
  body { margin: 0; font: 14px sans-serif; background: linear-gradient(#dfd, #9c9) } .text { width: 780px; min-height: 3000px }
  .secret { position: absolute; width: 160px; height: 60px; background: ${SECRET}; color: ${SECRET} }
  #moving { left: 20px; top: 30px; animation: move 700ms linear infinite alternate }
  @keyframes move { to { transform: translate(560px, 300px) } }
  #list { position: absolute; left: 300px; top: 100px; width: 220px; height: 250px; overflow: auto; background: #eee }
  #list .secret { left: 20px; top: 300px } #list div { height: 1500px }
  canvas { position: absolute; left: 40px; top: 40px; width: 480px; height: 360px; border: 5px solid #363; padding: 7px }
  #marker { position: absolute }
</style></head><body></body></html>`;

const MAIN = (target) => `
  import { Recorder, supportedFormats } from './node_modules/sortie-recorder/index.js';
  const target = ${target};
  const secret = (id, parent = document.body) => {
    const element = Object.assign(document.createElement('div'), { id, className: 'secret', textContent: 'secret '.repeat(40) });
    parent.append(element);
    return element;
  };
  const text = () => {
    const words = document.createElement('p');
    words.className = 'text';
    words.textContent = 'nothing to hide '.repeat(900);
    document.body.append(words);
  };
  const scenes = {
    /** Moves by a compositor's animation, scrolls with the page and in a list, appears and vanishes. */
    tab() {
      text();
      secret('moving');
      const list = Object.assign(document.createElement('div'), { id: 'list' });
      list.append(document.createElement('div'));
      secret('listed', list);
      document.body.append(list);
      let up = 1;
      setInterval(() => { list.scrollTop += 23 * up; if (list.scrollTop > 340 || list.scrollTop < 60) up = -up; }, 16);
      setInterval(() => {
        const flash = secret('flash');
        Object.assign(flash.style, { left: Math.random() * 600 + 'px', top: scrollY + Math.random() * 500 + 'px' });
        // For one picture only, at worst.
        setTimeout(() => flash.remove(), Math.random() < 0.5 ? 10 : 300);
      }, 450);
    },
    /** A canvas with a secret that moves, and an element of the page over it. */
    canvas() {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
      const marker = Object.assign(document.createElement('div'), { id: 'marker' });
      document.body.append(canvas, marker);
      const context = canvas.getContext('2d', { alpha: false });
      const draw = (now) => {
        context.fillStyle = 'hsl(120 40% ' + (40 + 20 * Math.sin(now / 300)) + '%)';
        context.fillRect(0, 0, 640, 480);
        const [x, y] = [240 + 200 * Math.sin(now / 400), 180 + 150 * Math.cos(now / 300)];
        context.fillStyle = '${SECRET}';
        context.fillRect(x, y, 120, 80);
        // 640 × 480 pixels in a box of 480 × 360, inside its border and padding.
        Object.assign(marker.style, { left: 52 + x * 0.75 + 'px', top: 52 + y * 0.75 + 'px', width: '90px', height: '60px' });
        requestAnimationFrame(draw);
      };
      requestAnimationFrame(draw);
      window.canvas = canvas;
    },
    fixed() {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
      document.body.append(canvas);
      const context = canvas.getContext('2d', { alpha: false });
      const draw = (now) => {
        context.fillStyle = 'hsl(120 40% ' + (40 + 20 * Math.sin(now / 300)) + '%)';
        context.fillRect(0, 0, 640, 480);
        context.fillStyle = '${SECRET}';
        context.fillRect(500, 20, 100, 50);
        context.fillRect(30, 400 + 20 * Math.sin(now / 200), 50, 50);
        requestAnimationFrame(draw);
      };
      requestAnimationFrame(draw);
      window.canvas = canvas;
    },
  };
  window.page = {
    heard: [],
    async record(scene, options) {
      if (scene) scenes[scene]();
      const { source, ...others } = options;
      const recorder = new Recorder({ ...target, source: source === 'canvas' ? window.canvas : source, ...others });
      window.recorder = recorder;
      for (const name of ['warning', 'stopped', 'error']) recorder.on(name, (it) => this.heard.push([name, it.code ?? it]));
      await recorder.start();
    },
    refused: (scene, options) => window.page.record(scene, options).then(() => ({ code: 'it records' }), ({ name, code, message }) => ({ name, code, message })),
    stop: () => window.recorder.stop(),
    secret,
  };
`;

/** Files of a project that records to `target`, an expression. */
export const maskedPage = (target) => ({ 'index.html': PAGE, 'main.js': MAIN(target) });
