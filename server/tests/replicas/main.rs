//! Several servers on one PostgreSQL database and one bucket.
#![cfg(all(feature = "postgres", feature = "s3"))]

mod killed;
mod postgres;
mod propagation;
mod s3_kill;
#[path = "../support/mod.rs"]
mod support;
mod uploads;

use support::TestServer;
use support::postgres::cluster;
use support::seaweedfs::{ADMIN, BUCKET, seaweedfs};

/// Configuration shared by all servers of one installation.
struct Installation {
    variables: Vec<(&'static str, String)>,
}

impl Installation {
    fn new(more: &[(&'static str, &str)]) -> Self {
        let own = [
            ("SORTIE_DB_TYPE", "postgres".to_owned()),
            ("SORTIE_DB_DSN", cluster().database()),
            ("SORTIE_RECORDING_STORAGE_BACKEND", "s3".to_owned()),
            ("SORTIE_RECORDING_S3_BUCKET", BUCKET.to_owned()),
            ("SORTIE_RECORDING_S3_ENDPOINT", seaweedfs().endpoint.clone()),
            (
                "SORTIE_RECORDING_S3_PREFIX",
                uuid::Uuid::new_v4().simple().to_string(),
            ),
            ("AWS_ACCESS_KEY_ID", ADMIN.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", ADMIN.1.to_owned()),
        ];
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            variables: more.chain(own).collect(),
        }
    }

    /// Starts another server with a separate disk.
    async fn server(&self) -> TestServer {
        TestServer::with(&self.variables()).await
    }

    /// Starts another server, whose port is known before its start.
    async fn server_with_port(&self) -> TestServer {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port().to_string();
        drop(free);
        let mut variables = self.variables();
        variables.push(("SORTIE_PORT", &port));
        TestServer::with(&variables).await
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}
