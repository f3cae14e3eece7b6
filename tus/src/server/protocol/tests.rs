//! All headers of creations and appends: valid, missing and invalid.

use proptest::prelude::*;

use super::*;
use crate::header::HeaderError;

const ALL: Protocol = Protocol {
    max_size: 1_000,
    extensions: Extensions::NONE
        .with(Extension::Creation)
        .with(Extension::CreationDeferLength)
        .with(Extension::CreationWithUpload)
        .with(Extension::Termination)
        .with(Extension::Expiration)
        .with(Extension::Checksum)
        .with(Extension::Concatenation),
};
const CORE: Protocol = Protocol {
    max_size: u64::MAX,
    extensions: Extensions::NONE.with(Extension::Creation),
};
const BODY: (&str, &str) = ("content-type", "application/offset+octet-stream");
const CRC: &str = "crc32c AAAAAA==";

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Looks a header up; `Tus-Resumable` is present unless the test overrides it.
fn lookup<'a>(headers: Headers<'a>) -> impl Fn(&str) -> Option<&'a str> {
    move |name| {
        let found = headers.iter().find(|(key, _)| *key == name);
        let version = (name == "tus-resumable").then_some("1.0.0");
        found.map(|(_, value)| *value).or(version)
    }
}

#[track_caller]
fn created(headers: Headers<'_>) -> Creation {
    ALL.creation(lookup(headers)).expect("a creation")
}

#[track_caller]
fn creation_refused(protocol: &Protocol, headers: Headers<'_>, expected: Refusal) {
    assert_eq!(protocol.creation(lookup(headers)), Err(expected));
}

#[track_caller]
fn append_refused(protocol: &Protocol, headers: Headers<'_>, expected: Refusal) {
    assert_eq!(protocol.append(lookup(headers)), Err(expected));
}

fn missing(header: &'static str) -> Refusal {
    Refusal::Missing { header }
}

fn unsupported(header: &'static str) -> Refusal {
    Refusal::Unsupported { header }
}

#[test]
fn version_is_required() {
    assert_eq!(ALL.version_check(|_| None), Err(Refusal::Version));
    for wrong in ["", "0.2.2", "1.0", "1.0.0 ", "1.0.0,0.2.2"] {
        let headers = [("tus-resumable", wrong), ("upload-length", "1")];
        creation_refused(&ALL, &headers, Refusal::Version);
        append_refused(&ALL, &headers, Refusal::Version);
    }
    assert_eq!(ALL.version_check(lookup(&[])), Ok(()));
}

#[test]
fn creation_needs_exactly_one_length() {
    assert_eq!(
        created(&[("upload-length", "0")]).length,
        UploadLength::Known(0)
    );
    assert_eq!(
        created(&[("upload-length", "1000")]).length,
        UploadLength::Known(1_000)
    );
    assert_eq!(
        created(&[("upload-defer-length", "1")]).length,
        UploadLength::Deferred
    );
    creation_refused(&ALL, &[], missing("Upload-Length"));
    let both = [("upload-length", "1"), ("upload-defer-length", "1")];
    let (first, second) = ("Upload-Length", "Upload-Defer-Length");
    creation_refused(&ALL, &both, Refusal::Contradiction { first, second });
    let large = Refusal::TooLarge { max_size: 1_000 };
    creation_refused(&ALL, &[("upload-length", "1001")], large);
    let deferred = [("upload-defer-length", "1")];
    creation_refused(&CORE, &deferred, unsupported("Upload-Defer-Length"));
    let wrong = HeaderError {
        header: "Upload-Defer-Length",
        problem: "must be 1, or be left out",
    };
    creation_refused(
        &ALL,
        &[("upload-defer-length", "2")],
        Refusal::Header(wrong),
    );
    let unreadable = ALL.creation(lookup(&[("upload-length", "")]));
    assert!(matches!(unreadable, Err(Refusal::Header(_))));
}

#[test]
fn creation_carries_metadata() {
    let headers = [
        ("upload-length", "1"),
        ("upload-metadata", "filename YQ==,x"),
    ];
    assert_eq!(created(&headers).metadata.text("filename"), Some("a"));
    assert!(created(&headers[..1]).metadata.is_empty());
    let wrong = [
        ("upload-length", "1"),
        ("upload-metadata", "filename a.webm"),
    ];
    let refusal = Refusal::Metadata(crate::metadata::MetadataError::Value);
    creation_refused(&ALL, &wrong, refusal);
}

#[test]
fn creation_may_carry_bytes() {
    let length = ("upload-length", "4");
    let plain = created(&[
        length,
        ("content-length", "0"),
        ("content-type", "text/plain"),
    ]);
    assert!(!plain.has_body && plain.first_append().is_none());
    let headers = [
        length,
        BODY,
        ("content-length", "4"),
        ("upload-checksum", CRC),
    ];
    let with_bytes = created(&headers);
    let append = with_bytes.first_append().expect("a body");
    assert_eq!((append.offset, append.length), (0, None));
    assert_eq!(
        append.checksum.map(|it| it.to_string()).as_deref(),
        Some(CRC)
    );
    let parameter = [
        length,
        ("content-type", "Application/Offset+Octet-Stream; a=b"),
    ];
    assert!(created(&parameter).has_body);
    for announced in [("content-length", "4"), ("transfer-encoding", "chunked")] {
        let other = [length, announced, ("content-type", "text/plain")];
        creation_refused(&ALL, &other, Refusal::ContentType);
        creation_refused(&ALL, &other[..2], Refusal::ContentType);
    }
    let without = CORE.creation(lookup(&[length, BODY])).expect("a creation");
    assert!(!without.has_body);
}

#[test]
fn creation_may_be_part_of_a_concatenation() {
    let partial = created(&[("upload-length", "4"), ("upload-concat", "partial")]);
    assert_eq!(partial.concat, Some(Concat::Partial));
    let joined = created(&[("upload-concat", "final;/a /b")]);
    assert!(matches!(joined.concat, Some(Concat::Final(parts)) if parts.len() == 2));
    // Some clients announce the type of an empty body.
    let empty = [BODY, ("content-length", "0"), ("upload-concat", "final;/a")];
    assert!(!created(&empty).has_body);
    let bytes = [BODY, ("content-length", "1"), ("upload-concat", "final;/a")];
    creation_refused(&ALL, &bytes, Refusal::FinalUpload);
    let (first, second) = ("Upload-Length", "Upload-Concat");
    let both = [("upload-length", "4"), ("upload-concat", "final;/a")];
    creation_refused(&ALL, &both, Refusal::Contradiction { first, second });
    creation_refused(&CORE, &both, unsupported("Upload-Concat"));
    creation_refused(
        &ALL,
        &[("upload-concat", "partial")],
        missing("Upload-Length"),
    );
}

#[test]
fn append_needs_offset_and_media_type() {
    let headers = [BODY, ("upload-offset", "7"), ("upload-length", "9")];
    let append = ALL.append(lookup(&headers)).expect("an append");
    assert_eq!(
        (append.offset, append.length, append.checksum),
        (7, Some(9), None)
    );
    append_refused(&ALL, &headers[..1], missing("Upload-Offset"));
    append_refused(&ALL, &headers[1..], Refusal::ContentType);
    let json = [("content-type", "application/json"), ("upload-offset", "7")];
    append_refused(&ALL, &json, Refusal::ContentType);
    let negative = ALL.append(lookup(&[BODY, ("upload-offset", "-7")]));
    assert!(matches!(negative, Err(Refusal::Header(_))));
    let odd = ALL.append(lookup(&[
        BODY,
        ("upload-offset", "7"),
        ("upload-length", "x"),
    ]));
    assert!(matches!(odd, Err(Refusal::Header(_))));
}

#[test]
fn checksum_is_parsed_or_rejected_but_never_ignored() {
    let headers = [BODY, ("upload-offset", "0"), ("upload-checksum", CRC)];
    let append = ALL.append(lookup(&headers)).expect("an append");
    let algorithm = append.checksum.map(|it| it.algorithm());
    assert_eq!(algorithm, Some(ChecksumAlgorithm::Crc32c));
    append_refused(&CORE, &headers, unsupported("Upload-Checksum"));
    let unknown = [
        BODY,
        ("upload-offset", "0"),
        ("upload-checksum", "md5 AAAA"),
    ];
    assert!(matches!(
        ALL.append(lookup(&unknown)),
        Err(Refusal::Header(_))
    ));
}

#[test]
fn only_post_is_overridden() {
    let patch = [("x-http-method-override", "PATCH")];
    assert_eq!(effective_method("POST", lookup(&patch)), "PATCH");
    assert_eq!(effective_method("GET", lookup(&patch)), "GET");
    assert_eq!(effective_method("POST", lookup(&[])), "POST");
}

#[test]
fn extensions_are_announced() {
    let shown = |protocol: Protocol, name: &str| {
        let headers = protocol.announcement().into_iter();
        headers
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next()
    };
    assert_eq!(shown(ALL, "tus-version").as_deref(), Some("1.0.0"));
    assert_eq!(shown(ALL, "tus-max-size").as_deref(), Some("1000"));
    let algorithms = shown(ALL, "tus-checksum-algorithm");
    assert_eq!(algorithms.as_deref(), Some("sha1,sha256,crc32c"));
    assert_eq!(shown(CORE, "tus-extension").as_deref(), Some("creation"));
    assert_eq!(shown(CORE, "tus-max-size"), None);
    assert_eq!(shown(CORE, "tus-checksum-algorithm"), None);
    let bare = Protocol {
        extensions: Extensions::NONE,
        ..CORE
    };
    assert_eq!(shown(bare, "tus-extension"), None);
}

proptest! {
    #[test]
    fn headers_do_not_cause_panics(values in prop::collection::vec(prop::option::of("\\PC{0,20}|[0-9]{1,20}"), 8)) {
        let names = [
            "upload-offset", "upload-length", "upload-defer-length", "upload-metadata",
            "upload-checksum", "upload-concat", "content-length", "content-type",
        ];
        let headers: Vec<_> = names.iter().zip(&values)
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
            .collect();
        let _ = ALL.append(lookup(&headers));
        if let Ok(creation) = ALL.creation(lookup(&headers)) {
            prop_assert!(creation.length.known().is_none_or(|length| length <= ALL.max_size));
        }
    }
}
