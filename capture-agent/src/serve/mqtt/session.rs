//! Messages and commands of one connection.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{AsyncClient, Packet, Publish, PublishOptions, QoS, SubscribeReasonCode};
use sortie_server::NoPicture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::connection::Failure;
use super::state::StateMessage;
use super::topics::Device;
use super::{Setup, discovery};
use crate::clock::monotonic;

/// Name of the command that starts and stops a recording; last part of its topic, as for the other two.
pub(super) const RECORDING: &str = "recording";
pub(super) const AUTO_RECORD: &str = "auto_record";
pub(super) const PICTURE: &str = "picture";

/// Interval at which the state is compared with the published one.
const INTERVAL: Duration = Duration::from_secs(1);
/// Shortest interval between messages for changed figures alone.
const FIGURES_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of pictures during a recording.
const PICTURE_INTERVAL: Duration = Duration::from_secs(60);
/// Attempts to get a picture: while the device changes hands there is none.
const PICTURE_ATTEMPTS: u8 = 3;
/// Characters of an unknown payload that are logged.
const LOGGED: usize = 40;

pub(super) struct Session<'a> {
    setup: &'a Setup,
    device: &'a Device,
    client: AsyncClient,
    is_connected: bool,
    /// Last published state, and its monotonic time.
    published: Option<(StateMessage, Duration)>,
    pictures: Pictures,
}

/// Pictures to publish: at most one request at a time.
#[derive(Default)]
struct Pictures {
    /// Attempts left to get a wanted picture.
    attempts: u8,
    task: JoinSet<Result<Bytes, NoPicture>>,
    /// Monotonic time of the last picture.
    last_at: Option<Duration>,
}

impl<'a> Session<'a> {
    pub(super) fn new(setup: &'a Setup, device: &'a Device, client: AsyncClient) -> Self {
        Self {
            setup,
            device,
            client,
            is_connected: false,
            published: None,
            pictures: Pictures::default(),
        }
    }

    /// Whether the broker has accepted the connection.
    pub(super) fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Publishes changes and executes commands until the broker accepts no more messages.
    pub(super) async fn run(&mut self, packets: mpsc::Receiver<Packet>) -> Failure {
        match self.try_run(packets).await {
            Ok(()) => Failure::Broken("the connection has ended".to_owned()),
            Err(failure) => failure,
        }
    }

    async fn try_run(&mut self, mut packets: mpsc::Receiver<Packet>) -> Result<(), Failure> {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                packet = packets.recv() => match packet {
                    Some(Packet::ConnAck(_)) => {
                        let broker = &self.setup.broker.address;
                        tracing::info!(%broker, device = self.device.id, "connected to the MQTT broker");
                        self.is_connected = true;
                        self.subscribe()?;
                        self.announce()?;
                    }
                    Some(Packet::Publish(message)) => self.handle_message(&message).await?,
                    Some(Packet::SubAck(ack)) => {
                        if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                            tracing::error!("the MQTT broker refuses a subscription, so that commands or the start of Home Assistant are not noticed. Allow the user to read sortie/# and homeassistant/status, or what SORTIE_CAPTURE_MQTT_PREFIX and SORTIE_CAPTURE_MQTT_DISCOVERY name instead");
                        }
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                _ = tick.tick(), if self.is_connected => self.update()?,
                Some(picture) = self.pictures.task.join_next() => {
                    // Fails only if the task was cancelled.
                    if let Ok(picture) = picture {
                        self.handle_picture(picture)?;
                    }
                }
            }
        }
    }

    fn subscribe(&self) -> Result<(), Failure> {
        let topics = [Some(self.device.command("+")), self.device.birth()];
        for topic in topics.into_iter().flatten() {
            let subscribed = self.client.try_subscribe(topic, QoS::AtLeastOnce);
            subscribed.map_err(|_| Failure::Congested)?;
        }
        Ok(())
    }

    /// Publishes discovery, availability and state.
    fn announce(&mut self) -> Result<(), Failure> {
        if let Some(topic) = self.device.discovery() {
            self.publish(topic, discovery::message(self.device).to_string())?;
        }
        self.publish(self.device.availability(), "online")?;
        if !self.device.pictures {
            // Removes the picture of an earlier run.
            self.publish(self.device.picture(), Bytes::new())?;
        }
        self.update_or_repeat(true)
    }

    /// Queues a retained message. A full queue ends the connection.
    fn publish(&self, topic: String, payload: impl Into<Bytes>) -> Result<(), Failure> {
        let options = PublishOptions::at_least_once().retained();
        let queued = self.client.try_publish(topic, payload.into(), options);
        queued.map_err(|_| Failure::Congested)
    }

    fn update(&mut self) -> Result<(), Failure> {
        self.update_or_repeat(false)
    }

    /// Publishes the state if it has changed, or in any case with `repeat`.
    fn update_or_repeat(&mut self, repeat: bool) -> Result<(), Failure> {
        let control = &self.setup.control;
        let Some(state) = control.state() else {
            return Ok(());
        };
        let cause = self.setup.recorder.snapshot().cause;
        let message = StateMessage::new(&state, &control.measurements(), cause);
        let now = monotonic();
        self.request_picture(&message, now);
        let is_due = self.published.as_ref().is_none_or(|(published, at)| {
            let is_old = now.saturating_sub(*at) >= FIGURES_INTERVAL;
            published.facts != message.facts || (is_old && published.figures != message.figures)
        });
        if is_due || repeat {
            self.publish(self.device.state(), message.json())?;
            self.published = Some((message, now));
        }
        Ok(())
    }

    /// Requests a picture when the signal becomes steady, when a recording starts or stops, and regularly during a
    /// recording. An idle device is not opened regularly: other programs may need it.
    fn request_picture(&mut self, message: &StateMessage, now: Duration) {
        let before = self.published.as_ref().map(|(before, _)| before);
        let has_changed = before.is_none_or(|before| {
            before.has_signal() != message.has_signal()
                || before.is_recording() != message.is_recording()
        });
        let last_at = self.pictures.last_at;
        let is_old = last_at.is_none_or(|at| now.saturating_sub(at) >= PICTURE_INTERVAL);
        let is_due = has_changed || (is_old && message.is_recording());
        if is_due && self.pictures.attempts == 0 {
            self.pictures.attempts = PICTURE_ATTEMPTS;
        }
        if !self.device.pictures || !message.has_signal() {
            self.pictures.attempts = 0;
        }
        if self.pictures.attempts > 0 && self.pictures.task.is_empty() {
            self.pictures.attempts -= 1;
            self.pictures.last_at = Some(now);
            let control = self.setup.control.clone();
            self.pictures
                .task
                .spawn(async move { control.picture().await });
        }
    }

    fn handle_picture(&mut self, picture: Result<Bytes, NoPicture>) -> Result<(), Failure> {
        match picture {
            Ok(jpeg) => {
                self.pictures.attempts = 0;
                self.publish(self.device.picture(), jpeg)
            }
            Err(reason) => {
                tracing::debug!("no picture for MQTT: {reason}");
                Ok(())
            }
        }
    }

    async fn handle_message(&mut self, message: &Publish) -> Result<(), Failure> {
        let Ok(topic) = std::str::from_utf8(&message.topic) else {
            return Ok(());
        };
        if self.device.birth().as_deref() == Some(topic) {
            // A retained message is older than the announcement of this connection.
            return match &message.payload[..] {
                b"online" if !message.retain => self.announce(),
                _ => Ok(()),
            };
        }
        let Some(command) = self.device.command_name(topic) else {
            return Ok(());
        };
        if message.retain {
            tracing::warn!(
                topic,
                "a retained MQTT command is ignored: it would be repeated after each reconnection. Publish commands without retain, and delete this one"
            );
            return Ok(());
        }
        let control = &self.setup.control;
        let done = match (command, &message.payload[..]) {
            (RECORDING, b"ON") => control.start().await,
            (RECORDING, b"OFF") => control.stop().await,
            (AUTO_RECORD, b"ON") => control.set_auto_record(true).await,
            (AUTO_RECORD, b"OFF") => control.set_auto_record(false).await,
            (PICTURE, b"PRESS") => {
                self.pictures.attempts = PICTURE_ATTEMPTS;
                Ok(())
            }
            (_, payload) => {
                let text = String::from_utf8_lossy(&payload[..payload.len().min(LOGGED)]);
                tracing::warn!(topic, payload = ?text, "an unknown MQTT command is ignored");
                return Ok(());
            }
        };
        if let Err(error) = done {
            tracing::error!(topic, "the MQTT command failed: {error}");
        }
        // The sender learns of a failure by the unchanged state.
        self.update_or_repeat(true)
    }
}
