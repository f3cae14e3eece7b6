//! MQTT and Home Assistant's discovery, with Debian's Mosquitto as the broker.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::agent::{Agent, LOOKS, count};
use crate::pictures::size;
use crate::ports;

const PASSWORD: &str = "sesame open up";
const STEADY: fn(&Value) -> bool = |state| state["signal"] == "steady";

/// Mosquitto with its configuration and data in a folder.
struct Mosquitto {
    folder: TempDir,
    process: Option<Child>,
    port: u16,
    tls_port: u16,
}

impl Mosquitto {
    /// Creates the configuration; `more` are further lines of it.
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = |held: std::net::TcpListener| held.local_addr().expect("an address").port();
        let (port, tls_port) = (port(ports::hold()), port(ports::hold()));
        let shown = folder.path().display();
        let user = match rustix::process::geteuid().is_root() {
            true => "user root\n",
            false => "",
        };
        let config = format!(
            "{user}log_type error\npersistence true\npersistence_location {shown}/\nlistener {port} 127.0.0.1\n{}",
            more.replace("FOLDER", &shown.to_string())
                .replace("TLS_PORT", &tls_port.to_string())
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).expect("written");
        Self {
            folder,
            process: None,
            port,
            tls_port,
        }
    }

    fn open() -> Self {
        let mut broker = Self::new("allow_anonymous true\n");
        broker.start();
        broker
    }

    fn start(&mut self) {
        let config = self.folder.path().join("mosquitto.conf");
        let process = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(config)
            .spawn();
        self.process = Some(process.expect("mosquitto"));
    }

    /// Ends the broker, which writes its retained messages to disk.
    fn stop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        let id = process.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status();
        assert!(killed.expect("kill").success());
        process.wait().expect("its child");
    }

    fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Messages by topic, each with whether it was sent as a retained one.
type Messages = Arc<Mutex<HashMap<String, (Vec<u8>, bool)>>>;

/// Client that receives all messages of a broker, as Home Assistant would.
struct Watcher {
    messages: Messages,
    client: AsyncClient,
    task: JoinHandle<()>,
}

impl Watcher {
    fn connect(broker: &Mosquitto, credentials: Option<(&str, &str)>) -> Self {
        let server = rumqttc::Broker::tcp("127.0.0.1", broker.port);
        let mut options = MqttOptions::new(format!("watcher-{}", uuid::Uuid::new_v4()), server);
        options.set_max_packet_size(1 << 20, 1 << 20);
        if let Some((name, password)) = credentials {
            options.set_credentials(name, password.to_owned());
        }
        let (client, mut events) = AsyncClient::builder(options).capacity(100).build();
        let messages = Messages::default();
        let (received, subscriber) = (Arc::clone(&messages), client.clone());
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        // Messages of the connection before are no evidence.
                        received.lock().expect("no panic").clear();
                        let all = subscriber.try_subscribe("#", QoS::AtLeastOnce);
                        all.expect("room in the queue");
                    }
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        let topic = String::from_utf8_lossy(&message.topic).into_owned();
                        let value = (message.payload.to_vec(), message.retain);
                        received.lock().expect("no panic").insert(topic, value);
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        Self {
            messages,
            client,
            task,
        }
    }

    /// Waits for a message of a topic that ends like this; returns topic and payload.
    async fn message(&self, end: &str, right: impl Fn(&[u8]) -> bool) -> (String, Vec<u8>) {
        for _ in 0..LOOKS {
            {
                let messages = self.messages.lock().expect("no panic");
                let mut found = messages.iter().filter(|(topic, _)| topic.ends_with(end));
                if let Some((topic, (payload, _))) = found.find(|(_, (it, _))| right(it)) {
                    return (topic.clone(), payload.clone());
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let messages = self.messages.lock().expect("no panic");
        let shown = messages.iter().map(|(topic, (payload, _))| {
            let text = String::from_utf8_lossy(&payload[..payload.len().min(2000)]);
            format!("{topic}: {text}")
        });
        panic!("{end} is not in {:#?}", shown.collect::<Vec<_>>());
    }

    /// Waits for a state.
    async fn state(&self, right: impl Fn(&Value) -> bool) -> Value {
        let parse = |payload: &[u8]| serde_json::from_slice::<Value>(payload).ok();
        let right = |payload: &[u8]| parse(payload).is_some_and(|it| right(&it));
        let (_, payload) = self.message("/state", right).await;
        parse(&payload).expect("JSON")
    }

    async fn availability(&self, expected: &str) {
        let right = |payload: &[u8]| payload == expected.as_bytes();
        self.message("/availability", right).await;
    }

    async fn discovery(&self) -> (String, Value) {
        let (topic, payload) = self.message("/config", |_| true).await;
        (topic, serde_json::from_slice(&payload).expect("JSON"))
    }

    async fn publish(&self, topic: &str, payload: &[u8], retain: bool) {
        let options = PublishOptions::at_least_once().retain(retain);
        let published = self.client.publish(topic, payload.to_vec(), options);
        published.await.expect("a client");
    }

    fn forget(&self, end: &str) {
        let mut messages = self.messages.lock().expect("no panic");
        messages.retain(|topic, _| !topic.ends_with(end));
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Agent whose log is written to a file.
struct Logged {
    agent: Agent,
    log: PathBuf,
    _folder: TempDir,
}

impl Logged {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let logs = tempfile::tempdir().expect("a folder");
        let log = logs.path().join("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"));
        command.arg("serve");
        command.stderr(File::create(&log).expect("a file"));
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            agent: Agent::spawn(folder, command, variables).await,
            log,
            _folder: logs,
        }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }

    async fn says(&self, words: &str) {
        for _ in 0..LOOKS {
            if self.text().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{words:?} is not in {}", self.text());
    }
}

fn url(address: &str) -> [(&str, &str); 1] {
    [("SORTIE_CAPTURE_MQTT_URL", address)]
}

#[tokio::test]
async fn discovery_describes_the_device_and_each_topic_of_it_exists() {
    let broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let agent = Agent::start(&url(&broker.url())).await;
    let (topic, message) = watcher.discovery().await;
    let id = message["device"]["identifiers"][0].as_str().expect("an id");
    assert_eq!(topic, format!("homeassistant/device/{id}/config"));
    assert!(message["origin"]["name"].is_string(), "{message}");
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let machine = machine.trim();
    assert!(machine.is_empty() || !message.to_string().contains(machine));
    let base = format!("sortie/{}", id.trim_start_matches("sortie_"));
    assert_eq!(
        message["availability_topic"],
        format!("{base}/availability")
    );
    let state = watcher.state(STEADY).await;
    let components = message["components"].as_object().expect("components");
    let mut ids = HashSet::new();
    for (key, component) in components {
        let unique = component["unique_id"].as_str().expect("an id");
        assert!(unique.starts_with(id) && ids.insert(unique), "{key}");
        let platform = component["platform"].as_str().expect("a platform");
        let needed = match platform {
            "switch" => &["state_topic", "command_topic", "value_template"][..],
            "sensor" | "binary_sensor" => &["state_topic", "value_template"],
            "button" => &["command_topic"],
            "image" => &["image_topic", "content_type"],
            other => panic!("{other}"),
        };
        for option in needed {
            assert!(component[option].is_string(), "{key}: {option}");
        }
        if let Some(template) = component["value_template"].as_str() {
            // `{{ value_json.alarms.clock_jump }}` names a field of the state.
            let path = template.trim_start_matches("{{ value_json.");
            let path = path.trim_end_matches(" }}").replace('.', "/");
            let value = state.pointer(&format!("/{path}"));
            let value = value.unwrap_or_else(|| panic!("{template} is not in {state}"));
            if let Some(options) = component["options"].as_array() {
                assert!(value.is_null() || options.contains(value), "{key}: {value}");
            }
            if matches!(platform, "switch" | "binary_sensor") {
                assert!(value == "ON" || value == "OFF", "{key}: {value}");
            }
        }
        if let Some(topic) = component["command_topic"].as_str() {
            assert!(topic.starts_with(&format!("{base}/command/")), "{topic}");
        }
    }
    for alarm in [
        "recorder_silent",
        "disk_nearly_full",
        "forward_lag",
        "clock_jump",
    ] {
        let component = &components[&format!("alarm_{alarm}")];
        assert_eq!(component["device_class"], "problem", "{alarm}");
    }
    assert_eq!(state["resolution"], "320x240");
    assert!(state["free_bytes"].as_u64() > Some(0), "{state}");
    let (_, jpeg) = watcher.message("/picture", |it| !it.is_empty()).await;
    assert_eq!(size(&jpeg), "mjpeg,320,240");

    // Messages are retained: a client that connects later receives them.
    let later = Watcher::connect(&broker, None);
    later.availability("online").await;
    assert_eq!(later.discovery().await.1, message);
    later.message("/picture", |it| !it.is_empty()).await;
    drop(later);

    // After a kill the broker publishes the last will, and a restart has the same ids.
    let folder = agent.kill();
    let watcher = Watcher::connect(&broker, None);
    watcher.availability("offline").await;
    let _agent = Agent::launch(folder, &url(&broker.url())).await;
    watcher.availability("online").await;
    assert_eq!(watcher.discovery().await, (topic, message));
}

#[tokio::test]
async fn recording_and_auto_record_are_switched_and_audited() {
    let broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let address = broker.url();
    let agent = Logged::start(&url(&address)).await;
    let (_, discovery) = watcher.discovery().await;
    let topic = |key: &str| {
        let topic = &discovery["components"][key]["command_topic"];
        topic.as_str().expect("a topic").to_owned()
    };
    let state = watcher.state(STEADY).await;
    assert_eq!(
        (&state["recording"], &state["cause"]),
        (&json!("OFF"), &Value::Null)
    );

    watcher.publish(&topic("recording"), b"ON", false).await;
    let manual = |it: &Value| it["recording"] == "ON" && it["cause"] == "manual";
    watcher.state(manual).await;
    agent.agent.wait_recorded(0.5).await;
    watcher.publish(&topic("recording"), b"OFF", false).await;
    watcher.state(|it| it["recording"] == "OFF").await;
    let one = |list: &Value| count(list) == 1;
    agent.agent.until("/api/recordings", one).await;

    watcher.publish(&topic("auto_record"), b"ON", false).await;
    watcher.state(|it| it["auto_record"] == "ON").await;
    let settings = agent.agent.get("/api/admin/settings").await;
    assert_eq!(settings["recording_auto_record"], "true");
    // Auto-record starts with the next signal.
    agent.agent.signal("no_signal").await;
    watcher.state(|it| it["signal"] == "no_signal").await;
    agent.agent.signal("steady").await;
    let automatic = |it: &Value| it["recording"] == "ON" && it["cause"] == "automatic";
    watcher.state(automatic).await;
    watcher.publish(&topic("auto_record"), b"OFF", false).await;
    watcher.state(|it| it["auto_record"] == "OFF").await;

    let log = agent.agent.get("/api/admin/audit").await;
    let by_mqtt = |action: &str| {
        let entries = log["items"].as_array().or(log.as_array());
        let mut entries = entries.expect("entries").iter();
        entries.any(|it| it["action"] == action && it.to_string().contains("MQTT"))
    };
    for action in ["recording.start", "recording.stop", "settings.change"] {
        assert!(by_mqtt(action), "{action}: {log}");
    }

    // Unknown commands change nothing and are logged; the connection stays.
    watcher
        .publish(&topic("recording"), b"perhaps", false)
        .await;
    agent.says("an unknown MQTT command is ignored").await;
    // So does a message that is too large, after a reconnection.
    watcher
        .publish(&topic("recording"), &vec![b'x'; 20_000], false)
        .await;
    agent.says("no connection to the MQTT broker").await;
    watcher.availability("online").await;
    watcher.forget("/picture");
    for _ in 0..LOOKS {
        watcher
            .publish(&topic("take_picture"), b"PRESS", false)
            .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let messages = watcher.messages.lock().expect("no panic");
        if messages.keys().any(|topic| topic.ends_with("/picture")) {
            return;
        }
    }
    panic!("no picture after the reconnection: {}", agent.text());
}

#[tokio::test]
async fn manual_start_during_automatic_recording_changes_its_cause() {
    let broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let agent = Agent::start(&url(&broker.url())).await;
    agent
        .settings(json!({"recording_auto_record": "true"}))
        .await;
    let automatic = |it: &Value| it["cause"] == "automatic" && it["file"].is_string();
    let state = watcher.state(automatic).await;
    let (_, discovery) = watcher.discovery().await;
    let topic = &discovery["components"]["recording"]["command_topic"];
    let topic = topic.as_str().expect("a topic");
    watcher.publish(topic, b"ON", false).await;
    let taken_over = watcher.state(|it| it["cause"] == "manual").await;
    assert_eq!(taken_over["file"], state["file"], "the same recording");
    // It does not end with auto-record any more.
    agent
        .settings(json!({"recording_auto_record": "false"}))
        .await;
    let state = watcher.state(|it| it["auto_record"] == "OFF").await;
    assert_eq!(
        (&state["recording"], &state["cause"]),
        (&json!("ON"), &json!("manual"))
    );
    watcher.publish(topic, b"OFF", false).await;
    let state = watcher.state(|it| it["recording"] == "OFF").await;
    assert_eq!(state["cause"], Value::Null);
}

#[tokio::test]
async fn hanging_disk_silences_neither_mqtt_nor_the_page() {
    if let Err(error) = File::open("/dev/fuse") {
        return eprintln!("skipped: /dev/fuse cannot be opened: {error}");
    }
    let broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let address = broker.url();
    let variables = [
        ("SORTIE_CAPTURE_MQTT_URL", address.as_str()),
        ("SORTIE_CAPTURE_ALARM_SILENT_SECONDS", "2"),
    ];
    let agent = Agent::start_on_small_disk("true", &variables).await;
    let state = watcher.state(STEADY).await;
    assert!(state["free_bytes"].as_u64() > Some(0), "{state}");
    let hanging = agent.hang_disk();
    // The thread of the recorder waits for the disk; its alarm must arrive.
    let silent = |it: &Value| it["alarms"]["recorder_silent"] == "ON";
    let state = watcher.state(silent).await;
    // The last measurement.
    assert!(state["free_bytes"].as_u64() > Some(0), "{state}");
    for path in [
        "/api/appliance",
        "/api/appliance/history",
        "/api/admin/storage",
    ] {
        agent.get(path).await;
    }
    let (_, metrics) = agent.wait_found("/metrics").await;
    let metrics = String::from_utf8(metrics).expect("text");
    let alarm = "sortie_capture_alarm{alarm=\"recorder_silent\"} 1";
    assert!(metrics.contains(alarm), "{metrics}");
    drop(hanging);
}

#[tokio::test]
async fn broker_restart_is_survived_and_retained_command_is_ignored() {
    let mut broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let address = broker.url();
    let agent = Logged::start(&url(&address)).await;
    watcher.state(STEADY).await;
    let (_, discovery) = watcher.discovery().await;
    let topic = &discovery["components"]["recording"]["command_topic"];
    let topic = topic.as_str().expect("a topic");
    // To a connected client the broker sends it as an ordinary message.
    watcher.publish(topic, b"ON", true).await;
    watcher.state(|it| it["recording"] == "ON").await;
    agent.agent.wait_recorded(0.5).await;
    watcher.publish(topic, b"OFF", false).await;
    watcher.state(|it| it["recording"] == "OFF").await;
    let one = |list: &Value| count(list) == 1;
    agent.agent.until("/api/recordings", one).await;

    drop(watcher);
    broker.stop();
    agent.says("no connection to the MQTT broker").await;
    broker.start();
    let watcher = Watcher::connect(&broker, None);
    agent.says("a retained MQTT command is ignored").await;
    watcher.availability("online").await;
    watcher.forget("/state");
    watcher
        .publish("homeassistant/status", b"online", false)
        .await;
    let state = watcher.state(|_| true).await;
    assert_eq!(state["recording"], "OFF", "{state}");
    assert_eq!(agent.agent.get("/api/appliance").await["recorder"], "idle");
    let list = agent.agent.get("/api/recordings").await;
    assert_eq!(count(&list), 1, "{list}");
    // Commands arrive again.
    watcher.publish(topic, b"ON", false).await;
    watcher.state(|it| it["recording"] == "ON").await;
}

#[tokio::test]
async fn discovery_is_repeated_when_home_assistant_starts() {
    let broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let agent = Agent::start(&url(&broker.url())).await;
    watcher.state(STEADY).await;
    let (_, before) = watcher.discovery().await;
    watcher.forget("/config");
    watcher
        .publish("homeassistant/status", b"online", false)
        .await;
    assert_eq!(watcher.discovery().await.1, before);
    drop(agent);
}

#[tokio::test]
async fn own_topics_without_discovery_and_pictures() {
    let broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let address = broker.url();
    let _agent = Agent::start(&[
        ("SORTIE_CAPTURE_MQTT_URL", &address),
        ("SORTIE_CAPTURE_MQTT_PREFIX", "rack/a"),
        ("SORTIE_CAPTURE_MQTT_DISCOVERY", "off"),
        ("SORTIE_CAPTURE_MQTT_PICTURES", "false"),
    ])
    .await;
    watcher.state(STEADY).await;
    let messages = watcher.messages.lock().expect("no panic");
    let own = |topic: &String| topic.starts_with("rack/a/");
    assert!(messages.keys().all(own), "{:?}", messages.keys());
    let picture = messages.iter().find(|(it, _)| it.ends_with("/picture"));
    assert!(picture.is_none_or(|(_, (jpeg, _))| jpeg.is_empty()));
}

#[tokio::test]
async fn alarm_is_a_problem_with_advice() {
    let broker = Mosquitto::open();
    let watcher = Watcher::connect(&broker, None);
    let folder = tempfile::tempdir().expect("a folder");
    let gate = folder.path().join("gate");
    // The command before a recording blocks the thread of the recorder.
    let before = format!("while [ ! -e {} ]; do sleep 0.1; done", gate.display());
    let address = broker.url();
    let _agent = Agent::start(&[
        ("SORTIE_CAPTURE_MQTT_URL", &address),
        ("SORTIE_CAPTURE_ALARM_SILENT_SECONDS", "2"),
        ("SORTIE_CAPTURE_HOOK", &before),
        ("SORTIE_CAPTURE_HOOK_SECONDS", "600"),
    ])
    .await;
    let alarm = |it: &Value, text: &str| it["alarms"]["recorder_silent"] == text;
    let state = watcher.state(|it| alarm(it, "ON")).await;
    let detail = &state["alarm_details"]["recorder_silent"];
    assert!(
        detail["message"].is_string() && detail["advice"].is_string(),
        "{state}"
    );
    assert_eq!(state["alarms"]["clock_jump"], "OFF");
    std::fs::write(&gate, "").expect("written");
    watcher.state(|it| alarm(it, "OFF")).await;
}

#[tokio::test]
async fn wrong_password_is_explained_and_stays_secret() {
    let mut broker = Mosquitto::new("password_file FOLDER/passwords\n");
    let passwords = broker.folder.path().join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["agent", PASSWORD])
        .status();
    assert!(made.expect("mosquitto_passwd").success());
    broker.start();
    let watcher = Watcher::connect(&broker, Some(("agent", PASSWORD)));
    let address = broker.url();
    let environment = broker.folder.path().join("environment");
    let hook = format!("env > {}", environment.display());
    let variables = |password| {
        [
            ("SORTIE_CAPTURE_MQTT_URL", address.as_str()),
            ("SORTIE_CAPTURE_MQTT_USERNAME", "agent"),
            ("SORTIE_CAPTURE_MQTT_PASSWORD", password),
            ("SORTIE_CAPTURE_HOOK", &hook),
            ("SORTIE_CAPTURE_LOG", "debug"),
        ]
    };
    let wrong = Logged::start(&variables("a guess at it")).await;
    wrong
        .says("check SORTIE_CAPTURE_MQTT_USERNAME and SORTIE_CAPTURE_MQTT_PASSWORD")
        .await;
    // Recording does not need the broker.
    wrong.agent.record(0.5).await;
    assert!(!wrong.text().contains("a guess at it"), "{}", wrong.text());
    let environment = std::fs::read_to_string(&environment).expect("the hook has run");
    assert!(environment.contains("SORTIE_CAPTURE_PATH="));
    assert!(!environment.contains("a guess at it"), "{environment}");
    drop(wrong);

    let right = Logged::start(&variables(PASSWORD)).await;
    watcher.state(STEADY).await;
    assert!(!right.text().contains(PASSWORD), "{}", right.text());
    let metrics = right.agent.request("/metrics").send().await;
    let metrics = metrics.expect("an answer").text().await.expect("text");
    assert!(!metrics.contains(PASSWORD));
}

#[tokio::test]
async fn certificate_of_own_authority_is_required_and_accepted() {
    let mut broker = Mosquitto::new(
        "allow_anonymous true\nlistener TLS_PORT 127.0.0.1\ncafile FOLDER/ca.pem\n\
         certfile FOLDER/server.pem\nkeyfile FOLDER/server.key\n",
    );
    let path = |name: &str| broker.folder.path().join(name);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("a certificate").pem();
    std::fs::write(path("ca.pem"), authority).expect("written");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    std::fs::write(path("server.pem"), certificate.pem()).expect("written");
    std::fs::write(path("server.key"), key.serialize_pem()).expect("written");
    let authority = path("ca.pem").display().to_string();
    let address = format!("mqtts://127.0.0.1:{}", broker.tls_port);
    broker.start();

    let stranger = Logged::start(&url(&address)).await;
    stranger.says("its certificate is not trusted").await;
    drop(stranger);
    let watcher = Watcher::connect(&broker, None);
    let _agent = Agent::start(&[
        ("SORTIE_CAPTURE_MQTT_URL", &address),
        ("SORTIE_CAPTURE_MQTT_CA", &authority),
    ])
    .await;
    watcher.state(STEADY).await;
}

#[tokio::test]
async fn repeated_failure_is_logged_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("mqtt://{}", listener.local_addr().expect("an address"));
    let agent = Logged::start(&url(&address)).await;
    for _ in 0..3 {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut connect = [0; 16];
        connection.read_exact(&mut connect).await.expect("CONNECT");
    }
    agent.says("no connection to the MQTT broker").await;
    let text = agent.text();
    let lines = text.lines().filter(|line| line.contains("MQTT broker"));
    assert_eq!(lines.count(), 1, "{text}");
}

#[tokio::test]
async fn broker_that_never_answers_does_not_disturb_recording() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("mqtt://{}", listener.local_addr().expect("an address"));
    let agent = Logged::start(&url(&address)).await;
    let (_held, _) = listener.accept().await.expect("a connection");
    agent.agent.record(0.5).await;
    agent.says("it does not answer within 10 seconds").await;
    let (_retried, _) = listener.accept().await.expect("a connection");
}
