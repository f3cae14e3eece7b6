//! Audio mixer.

use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AudioContext, MediaStream, MediaStreamAudioDestinationNode, MediaStreamAudioSourceNode,
};

use super::super::js_error::JsError;
use super::super::time::within;
use crate::RecorderError;

/// A context that is allowed to run starts within milliseconds.
const RUNS_WITHIN_MS: u32 = 1_000;

/// Mixes the audio of several streams into one track. Dropping it ends that track.
#[derive(Debug)]
pub(super) struct Mixer {
    context: AudioContext,
    destination: MediaStreamAudioDestinationNode,
    // Firefox stops feeding the graph when its sources are garbage collected.
    _sources: Vec<MediaStreamAudioSourceNode>,
}

impl Mixer {
    pub(super) fn new(streams: &[&MediaStream]) -> Result<Self, RecorderError> {
        let failed = |thrown| RecorderError::Unsupported(JsError::read(&thrown).text());
        let context = AudioContext::new().map_err(failed)?;
        let destination = context.create_media_stream_destination().map_err(failed)?;
        let mut sources = Vec::with_capacity(streams.len());
        for stream in streams {
            let source = context.create_media_stream_source(stream).map_err(failed)?;
            source
                .connect_with_audio_node(&destination)
                .map_err(failed)?;
            sources.push(source);
        }
        // A context created long after the last click starts suspended and is silent until it may run.
        let _running = context.resume();
        Ok(Self {
            context,
            destination,
            _sources: sources,
        })
    }

    /// Whether the mixer runs. Browsers may suspend audio until the user has clicked on the page.
    pub(super) async fn runs(&self) -> bool {
        let Ok(resumed) = self.context.resume() else {
            return false;
        };
        let runs = within(RUNS_WITHIN_MS, JsFuture::from(resumed)).await;
        runs.is_some_and(|it| it.is_ok())
    }

    pub(super) fn output(&self) -> MediaStream {
        self.destination.stream()
    }
}

impl Drop for Mixer {
    fn drop(&mut self) {
        let _closed = self.context.close();
    }
}
