//! `sortie-hdmi`: the capture agent on an emulated HDMI input, with power cuts.
fn main() {}
