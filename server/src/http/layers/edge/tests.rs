use axum::body::Body;

use super::*;

fn edge(proxies: &[&str], headers: ForwardedHeaders, public_url: Option<PublicUrl>) -> Edge {
    Edge {
        sign_in: SignInConfig {
            trusted_proxies: proxies.iter().map(|it| it.parse().unwrap()).collect(),
            ..SignInConfig::default()
        },
        headers,
        public_url,
    }
}

fn normalised(edge: &Edge, peer: &str, uri: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    edge.normalise(&mut request);
    request
}

#[track_caller]
fn check_address(edge: &Edge, peer: &str, header: (&'static str, &str), expected: &str) {
    let request = normalised(edge, peer, "/", &[header]);
    let address = request.extensions().get::<ClientAddress>().unwrap().0;
    assert_eq!(address.to_string(), expected, "{peer} {header:?}");
    assert!(request.headers().get(header.0).is_none());
}

#[test]
fn without_configured_proxies_only_loopback_is_trusted() {
    let edge = edge(&[], ForwardedHeaders::XForwarded, None);
    for (peer, forwarded, expected) in [
        ("203.0.113.9:1", "198.51.100.1", "203.0.113.9"),
        ("10.1.2.3:1", "198.51.100.1", "10.1.2.3"),
        ("192.168.0.1:1", "198.51.100.1", "192.168.0.1"),
        ("[fd00::1]:1", "2001:db8::1", "fd00::1"),
        ("127.0.0.1:1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("[::1]:1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1:1", "nonsense", "127.0.0.1"),
        ("[::ffff:203.0.113.9]:1", "198.51.100.1", "203.0.113.9"),
    ] {
        check_address(&edge, peer, ("x-forwarded-for", forwarded), expected);
    }
    let mut none = edge;
    none.sign_in.distrusts_loopback = true;
    check_address(
        &none,
        "127.0.0.1:1",
        ("x-forwarded-for", "1.1.1.1"),
        "127.0.0.1",
    );
}

#[test]
fn configured_proxies_are_followed_to_the_first_untrusted_address() {
    let edge = edge(
        &["10.0.0.0/8", "192.0.2.1"],
        ForwardedHeaders::XForwarded,
        None,
    );
    for (peer, forwarded, expected) in [
        ("127.0.0.1:1", "198.51.100.1", "127.0.0.1"),
        ("10.0.0.1:1", "198.51.100.1", "198.51.100.1"),
        (
            "10.0.0.1:1",
            "6.6.6.6, 198.51.100.1, 10.0.0.2",
            "198.51.100.1",
        ),
        ("10.0.0.1:1", "198.51.100.1,nonsense,192.0.2.1", "192.0.2.1"),
        ("10.0.0.1:1", "203.0.113.7:5678", "203.0.113.7"),
        ("10.0.0.1:1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1:1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1:1", "[2001:db8::1]:x", "10.0.0.1"),
        ("10.0.0.1:1", "", "10.0.0.1"),
    ] {
        check_address(&edge, peer, ("x-forwarded-for", forwarded), expected);
    }
    // The other kind of header is not read.
    check_address(
        &edge,
        "10.0.0.1:1",
        ("forwarded", "for=6.6.6.6"),
        "10.0.0.1",
    );
}

#[test]
fn standard_header_is_read_when_it_is_configured() {
    let edge = edge(&["10.0.0.0/8"], ForwardedHeaders::Forwarded, None);
    for (forwarded, expected) in [
        ("for=198.51.100.1", "198.51.100.1"),
        ("For=\"[2001:db8::1]:4711\";proto=https", "2001:db8::1"),
        (
            "for=6.6.6.6, for=198.51.100.1;by=10.0.0.1, for=10.0.0.2",
            "198.51.100.1",
        ),
        ("for=6.6.6.6, for=unknown, for=10.0.0.2", "10.0.0.2"),
        ("for=6.6.6.6, for=\"a,b\"", "10.0.0.1"),
        ("for=6.6.6.6, garbage", "10.0.0.1"),
        // An open quote of the client does not include the proxy's element.
        ("for=6.6.6.6;x=\", for=198.51.100.1", "198.51.100.1"),
        ("for=6.6.6.6;x=\"\\\", for=198.51.100.1", "198.51.100.1"),
        ("for=\"6.6.6.6, for=10.0.0.2", "10.0.0.2"),
        (
            "for=6.6.6.6, for=198.51.100.1;x=\"a\\\",b\"",
            "198.51.100.1",
        ),
    ] {
        check_address(&edge, "10.0.0.1:1", ("forwarded", forwarded), expected);
    }
    check_address(
        &edge,
        "10.0.0.1:1",
        ("x-forwarded-for", "6.6.6.6"),
        "10.0.0.1",
    );
    let header = (
        "forwarded",
        "for=198.51.100.1;proto=https;host=\"a.example:8443\"",
    );
    let request = normalised(&edge, "10.0.0.1:1", "/", &[header]);
    assert_eq!(request.headers()["x-forwarded-proto"], "https");
    assert_eq!(request.headers()[header::HOST], "a.example:8443");
}

#[test]
fn scheme_and_host_are_from_proxies_or_the_public_url() {
    let named = edge(&["10.0.0.0/8"], ForwardedHeaders::XForwarded, None);
    let headers = [
        ("host", "server:8080"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a.example"),
    ];
    let proxied = normalised(&named, "10.0.0.1:1", "/", &headers);
    assert_eq!(proxied.headers()["x-forwarded-proto"], "https");
    assert_eq!(proxied.headers()[header::HOST], "a.example");
    let direct = normalised(&named, "203.0.113.1:1", "/", &headers);
    assert!(direct.headers().get("x-forwarded-proto").is_none());
    assert_eq!(direct.headers()[header::HOST], "server:8080");
    let evil = ("x-forwarded-host", "a.example/<script>");
    let wrong = normalised(&named, "10.0.0.1:1", "/", &[("host", "server"), evil]);
    assert_eq!(wrong.headers()[header::HOST], "server");

    let public = edge(&[], ForwardedHeaders::XForwarded, Some(public("")));
    for (host, https) in [
        ("a.example", true),
        ("A.example:443", true),
        ("10.0.0.5:8080", false),
    ] {
        let request = normalised(&public, "203.0.113.1:1", "/", &[("host", host)]);
        let proto = request.headers().get("x-forwarded-proto");
        assert_eq!(proto.is_some(), https, "{host}");
    }
}

fn public(prefix: &str) -> PublicUrl {
    PublicUrl {
        https: true,
        host: "a.example".to_owned(),
        prefix: prefix.to_owned(),
    }
}

#[test]
fn path_loses_the_prefix_and_a_trailing_slash() {
    let edge = edge(&[], ForwardedHeaders::XForwarded, Some(public("/x/y")));
    for (given, expected) in [
        ("/x/y", "/"),
        ("/x/y/", "/"),
        ("/x/y/api/uploads/?a=/", "/api/uploads?a=/"),
        ("/api/uploads/", "/api/uploads"),
        ("/api/uploads/1/", "/api/uploads/1"),
        ("/x/yz", "/x/yz"),
        ("/recordings/", "/recordings/"),
        ("/", "/"),
    ] {
        let request = normalised(&edge, "127.0.0.1:1", given, &[]);
        assert_eq!(request.uri().to_string(), expected, "{given}");
    }
}

#[test]
fn response_headers_have_the_prefix() {
    let edge = edge(&[], ForwardedHeaders::XForwarded, Some(public("/x")));
    let mut response = Response::builder()
        .header("location", "/api/uploads/1")
        .header("link", "</api/recordings?cursor=1>; rel=\"next\"")
        .header("set-cookie", "a=1; HttpOnly; Path=/")
        .header("set-cookie", "b=1; Path=/api/auth; Secure")
        .body(Body::empty())
        .unwrap();
    edge.publish(&mut response);
    let headers = response.headers();
    assert_eq!(headers["location"], "/x/api/uploads/1");
    assert_eq!(
        headers["link"],
        "</x/api/recordings?cursor=1>; rel=\"next\""
    );
    let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(
        cookies,
        ["a=1; HttpOnly; Path=/x/", "b=1; Path=/x/api/auth; Secure"]
    );
    let mut elsewhere = Response::builder()
        .header("location", "https://id.example/authorize")
        .body(Body::empty())
        .unwrap();
    edge.publish(&mut elsewhere);
    assert_eq!(
        elsewhere.headers()["location"],
        "https://id.example/authorize"
    );
}

#[test]
fn request_id_of_the_client_must_be_plain() {
    let edge = edge(&[], ForwardedHeaders::XForwarded, None);
    for (id, kept) in [
        ("6f1c.a-b_C", true),
        ("", false),
        ("a b", false),
        ("a\"b", false),
        (&"a".repeat(64), true),
        (&"a".repeat(65), false),
    ] {
        let request = normalised(&edge, "127.0.0.1:1", "/", &[("x-request-id", id)]);
        assert_eq!(request.headers().contains_key("x-request-id"), kept, "{id}");
    }
}
