// The clients as a page has them; esbuild makes one script of this.

import Uppy from '@uppy/core';
import UppyTus from '@uppy/tus';
import * as tus from 'tus-js-client';

Object.assign(window, { Uppy, UppyTus, tus });
window.ready = true;
