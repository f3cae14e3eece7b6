// Clients of the page, bundled by esbuild.

import Uppy from '@uppy/core';
import UppyTus from '@uppy/tus';
import * as tus from 'tus-js-client';

Object.assign(window, { Uppy, UppyTus, tus });
window.ready = true;
