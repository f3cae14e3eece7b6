//! Encoders of a recording: the one in use, a candidate to replace it, and those that are emitting their last bytes.

/// Time in which a candidate must emit bytes.
const CANDIDATE_MS: f64 = 15_000.0;
/// Time in which a retired encoder must emit its last byte. An encoder that hangs would block the parts after its own.
const RETIRED_MS: f64 = 30_000.0;
/// Delay of an encoder that is reported.
const SLOW_MS: u64 = 3_000;
/// Delay that is normal while recording, and at the end: an encoder holds a few pictures.
const NORMAL_MS: u64 = 2_000;
const NORMAL_AT_END_MS: u64 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EncoderId(u32);

#[derive(Clone, Copy, Debug)]
pub(super) struct Encoder {
    pub(super) id: EncoderId,
    part: usize,
    /// Monotonic time of its start.
    pub(super) started_ms: f64,
    /// Length of the recording by the clock, at its start and at its last chunk or retirement.
    from_ms: u64,
    to_ms: u64,
    /// Length of its stream by the timestamps in it.
    media_ms: Option<u64>,
    /// Chunks whose timestamps are not read.
    unread: u32,
    /// Monotonic deadline: for the first bytes of a candidate, or for the end of a retired encoder.
    deadline_ms: f64,
    is_reported: bool,
    is_stopped: bool,
}

impl Encoder {
    /// Returns the time by which its stream is shorter than the elapsed time.
    fn behind_ms(&self) -> u64 {
        let measured_ms = self.to_ms.saturating_sub(self.from_ms);
        self.media_ms
            .map_or(0, |media_ms| measured_ms.saturating_sub(media_ms))
    }
}

#[derive(Debug, Default)]
pub(super) struct Encoders {
    next: u32,
    current: Option<Encoder>,
    candidate: Option<Encoder>,
    /// Former encoders, kept after their end for the lengths of their streams.
    retired: Vec<Encoder>,
}

impl Encoders {
    fn new_encoder(&mut self, part: usize, deadline_ms: f64) -> Encoder {
        let id = EncoderId(self.next);
        self.next += 1;
        Encoder {
            id,
            part,
            started_ms: 0.0,
            from_ms: 0,
            to_ms: 0,
            media_ms: None,
            unread: 0,
            deadline_ms,
            is_reported: false,
            is_stopped: false,
        }
    }

    /// Adds the encoder that fills `part`.
    pub(super) fn start(&mut self, part: usize) -> EncoderId {
        let encoder = self.new_encoder(part, f64::INFINITY);
        self.current = Some(encoder);
        encoder.id
    }

    /// Adds a candidate, unless there is one already.
    pub(super) fn start_candidate(&mut self, now_ms: f64) -> Option<EncoderId> {
        if self.candidate.is_some() {
            return None;
        }
        let encoder = self.new_encoder(self.current_part(), now_ms + CANDIDATE_MS);
        self.candidate = Some(encoder);
        Some(encoder.id)
    }

    /// Records that an encoder was started when the recording was `recorded_ms` long by the clock.
    pub(super) fn running(&mut self, id: EncoderId, now_ms: f64, recorded_ms: u64) {
        let both = self.current.iter_mut().chain(&mut self.candidate);
        for encoder in both.filter(|it| it.id == id) {
            encoder.started_ms = now_ms;
            (encoder.from_ms, encoder.to_ms) = (recorded_ms, recorded_ms);
        }
    }

    pub(super) fn current(&self) -> Option<EncoderId> {
        self.current.map(|it| it.id)
    }

    pub(super) fn current_part(&self) -> usize {
        self.current.map_or(0, |it| it.part)
    }

    pub(super) fn is_current(&self, id: EncoderId) -> bool {
        self.current() == Some(id)
    }

    pub(super) fn is_candidate(&self, id: EncoderId) -> bool {
        self.candidate.is_some_and(|it| it.id == id)
    }

    /// Returns the part that a current or retired encoder fills.
    pub(super) fn part_of(&self, id: EncoderId) -> Option<usize> {
        let mut all = self.current.iter().chain(&self.retired);
        let encoder = all.find(|it| it.id == id && !it.is_stopped)?;
        Some(encoder.part)
    }

    /// Retires the current encoder; its last bytes follow.
    pub(super) fn retire(&mut self, now_ms: f64, recorded_ms: u64) -> Option<EncoderId> {
        let mut encoder = self.current.take()?;
        encoder.deadline_ms = now_ms + RETIRED_MS;
        encoder.to_ms = recorded_ms;
        self.retired.push(encoder);
        Some(encoder.id)
    }

    /// Removes the current encoder, whose bytes are dropped.
    pub(super) fn drop_current(&mut self) -> Option<EncoderId> {
        self.current.take().map(|it| it.id)
    }

    /// Makes the former candidate the current encoder of a part. The recording was `from_ms` long at its start.
    pub(super) fn replace(&mut self, id: EncoderId, part: usize, from_ms: u64) {
        let mut encoder = self.new_encoder(part, f64::INFINITY);
        (encoder.id, encoder.from_ms, encoder.to_ms) = (id, from_ms, from_ms);
        self.current = Some(encoder);
    }

    pub(super) fn take_candidate(&mut self) -> Option<Encoder> {
        self.candidate.take()
    }

    /// Removes the candidate if it has this id; returns whether it was removed.
    pub(super) fn drop_candidate_if(&mut self, id: EncoderId) -> bool {
        self.candidate.take_if(|it| it.id == id).is_some()
    }

    /// Removes a candidate that has emitted no bytes in time.
    pub(super) fn take_late_candidate(&mut self, now_ms: f64) -> Option<EncoderId> {
        let late = self.candidate.take_if(|it| now_ms >= it.deadline_ms);
        late.map(|it| it.id)
    }

    /// Ends a retired encoder that has not emitted its last byte in time; returns it and its part.
    pub(super) fn take_hung(&mut self, now_ms: f64) -> Option<(EncoderId, usize)> {
        let is_hung = |it: &&mut Encoder| !it.is_stopped && now_ms >= it.deadline_ms;
        let hung = self.retired.iter_mut().find(is_hung)?;
        hung.is_stopped = true;
        Some((hung.id, hung.part))
    }

    /// Removes a retired encoder that has emitted its last byte; returns whether it was retired.
    pub(super) fn retired(&mut self, id: EncoderId) -> bool {
        let encoder = self.retired.iter_mut().find(|it| it.id == id);
        encoder.map(|it| it.is_stopped = true).is_some()
    }

    /// Records a chunk that arrived when the recording was `recorded_ms` long by the clock.
    pub(super) fn chunk(&mut self, id: EncoderId, recorded_ms: u64) {
        let is_current = self.is_current(id);
        if let Some(encoder) = self.find(id) {
            encoder.unread += 1;
            if is_current {
                encoder.to_ms = recorded_ms;
            }
        }
    }

    /// Notes the length of an encoder's stream. Returns the delay of the current encoder if it is to be reported.
    pub(super) fn media_length(&mut self, id: EncoderId, length_ms: Option<u64>) -> Option<u64> {
        let is_current = self.is_current(id);
        let encoder = self.find(id)?;
        encoder.unread = encoder.unread.saturating_sub(1);
        encoder.media_ms = length_ms.or(encoder.media_ms);
        let behind_ms = encoder.behind_ms();
        if behind_ms < SLOW_MS / 2 {
            encoder.is_reported = false;
        }
        let is_news = is_current
            && length_ms.is_some()
            && behind_ms >= SLOW_MS
            && !std::mem::replace(&mut encoder.is_reported, true);
        is_news.then_some(behind_ms)
    }

    /// Returns the length of the recording up to the end of an encoder's stream by its timestamps.
    pub(super) fn media_end(&self, id: EncoderId) -> Option<u64> {
        let encoder = self.all().find(|it| it.id == id)?;
        Some(encoder.from_ms + encoder.media_ms?)
    }

    /// Whether the timestamps of all chunks were read.
    pub(super) fn is_read(&self) -> bool {
        self.all().all(|it| it.unread == 0)
    }

    /// Returns the time by which the recording is shorter than the elapsed time. Small delays do not count until the
    /// recording has ended (`is_over`).
    pub(super) fn behind_ms(&self, is_over: bool) -> u64 {
        let normal_ms = if is_over { NORMAL_AT_END_MS } else { NORMAL_MS };
        let delays = self.all().map(Encoder::behind_ms);
        delays.filter(|it| *it > normal_ms).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Encoder> {
        self.current.iter().chain(&self.retired)
    }

    fn find(&mut self, id: EncoderId) -> Option<&mut Encoder> {
        let mut all = self.current.iter_mut().chain(&mut self.retired);
        all.find(|it| it.id == id)
    }
}
