//! TLS provider of the process.

/// Installs ring as the process's TLS provider. The HTTP client is built without a default provider and panics if none
/// is installed.
pub(crate) fn choose_tls() {
    // Fails if a provider is already installed, which is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
