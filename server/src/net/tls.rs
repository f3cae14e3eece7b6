//! TLS, of which the process has one kind.

/// Makes ring what TLS is done with in this process: the HTTP client was built without a choice of its own, and
/// panics where nobody has chosen.
pub(crate) fn choose_tls() {
    // Fails if the process has one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
